"""Sources of images: drawn faces and data sets from Kaggle."""
