"""Evaluation: how right the predictions are."""
