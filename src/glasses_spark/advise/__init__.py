"""Advise: what a run will take on this machine, and how to have it take less."""
