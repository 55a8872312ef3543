"""Files of labels, scores and pictures: written beside their place, checked, then renamed."""
