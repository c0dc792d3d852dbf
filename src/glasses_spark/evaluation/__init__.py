"""Evaluation: metrics, curves, thresholds and calibration of predictions."""
