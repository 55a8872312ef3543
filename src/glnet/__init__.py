"""Segmentation of images too large for a GPU."""
