"""The network: pure torch; knows windows, not files."""
