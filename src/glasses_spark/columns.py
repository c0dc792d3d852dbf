"""Columns: every column name of the library, written once."""

from __future__ import annotations

from typing import Final

# As Spark's `binaryFile` source names them.
PATH: Final = "path"
MODIFICATION_TIME: Final = "modificationTime"
LENGTH: Final = "length"
CONTENT: Final = "content"

ID: Final = "id"  # int: the last number in the file's base name
LABEL: Final = "label"  # double: 1.0 with glasses, 0.0 without
PIXELS: Final = "pixels"  # binary: height * width bytes, uint8 grey, row by row
FEATURES: Final = "features"  # Spark ML vector: pixels / 255
ERROR: Final = "error"  # string: why an image was put aside; null when it was not
CLUSTER: Final = "cluster"  # int: smallest id among the image's near-duplicates, or its own
CONFLICTING: Final = "conflicting"  # boolean: whether labels in the image's cluster differ
FOLD: Final = "fold"  # int: the fold in which the image is held out, from 0
SPLIT: Final = "split"  # string: "train", "validation" or "test"
IS_VALIDATION: Final = "is_validation"  # boolean: held back from the rows of a fit

PREDICTION: Final = "prediction"  # array<double>: [probability of glasses], as Elephas has it
RAW_PREDICTION: Final = "rawPrediction"  # double: the logit of that probability
PREDICTED_LABEL: Final = "predicted_label"  # double: 1.0 where it reaches the threshold
