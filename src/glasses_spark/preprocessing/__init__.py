"""Decoding of image files to grey pixels, the pixel store, near-duplicates and the split."""
