"""Training: fits a Keras model with the workers of a Spark job."""
