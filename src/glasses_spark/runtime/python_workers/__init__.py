"""Python workers: how Spark's Python processes start."""
