"""Advise: a forecast of time and memory, measured on this machine."""
