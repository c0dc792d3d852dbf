"""Forecast of the time and memory of a run, measured on this machine."""
