"""Doctor: checks of the machine, the software and the data."""
