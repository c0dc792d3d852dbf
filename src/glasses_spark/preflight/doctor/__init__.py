"""Checks of the machine, the data and the configuration before a run."""
