"""The command ``glnet``: parse, call one library function, report."""
