"""Decoding of PNG files to grey pixels, bit for bit as OpenCV does it."""
