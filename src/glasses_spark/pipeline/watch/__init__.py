"""Watching of a folder: each image that arrives there is scored once."""
