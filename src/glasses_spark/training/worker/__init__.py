"""Training in a Spark task."""
