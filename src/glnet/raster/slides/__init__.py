"""Slides: pictures of glass, kept at several sizes."""
