"""The networks that the paper compares with (Tables 3, 5 and 7): pure torch, no files."""
