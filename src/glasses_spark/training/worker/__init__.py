"""Training worker: what runs in a task."""
