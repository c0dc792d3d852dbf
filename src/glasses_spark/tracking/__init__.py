"""Tracking: finished runs, recorded where other tools show them."""
