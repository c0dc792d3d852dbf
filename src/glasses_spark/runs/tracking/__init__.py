"""Tracking: MLflow and TensorBoard."""
