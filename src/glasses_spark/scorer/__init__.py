"""Scoring of photographs without Spark and without TensorFlow."""
