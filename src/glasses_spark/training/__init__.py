"""Training: a Keras model fitted by the workers of a Spark job."""
