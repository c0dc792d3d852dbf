"""Doctor: what this machine and its data have of what a run needs."""
