"""What is timed or weighed: ``python -m benchmarks.<name>``; results are dated files."""
