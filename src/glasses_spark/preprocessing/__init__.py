"""Preprocessing: image bytes to grey pixels, and the split into train and test."""
