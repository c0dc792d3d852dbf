"""Checkpoints of a running fit, from which it can be resumed."""
