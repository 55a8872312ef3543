"""Images and what was found in them, on a page of a browser, at any size."""
