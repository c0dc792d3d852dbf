"""Data sets: downloaded from Kaggle, or drawn."""
