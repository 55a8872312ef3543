"""Prediction: from a raster to strips of labels; nothing of the raster's size on the device."""
