"""Runtime: Java, the Spark session, Python workers, GPUs and Keras."""
