"""Loading: image files and labels into one DataFrame, and an account of what was left out."""
