"""Before a run: what this machine has, and what the run will take."""
