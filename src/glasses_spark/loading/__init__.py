"""Loading of image files and labels into one DataFrame."""
