"""Checks and forecasts before a run."""
