"""Download of a Kaggle data set and of its labels."""
