"""Decoding: PNG bytes to grey pixels, equal to OpenCV's."""
