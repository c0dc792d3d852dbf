"""Scoring: a fitted model applied to DataFrames and files."""
