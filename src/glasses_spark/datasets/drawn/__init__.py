"""Drawn faces, for the demo and for tests."""
