"""Fitted models: prediction on DataFrames, saving and loading."""
