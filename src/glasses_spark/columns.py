"""Names of all columns of the library."""

from __future__ import annotations

from typing import Final

# The columns of Spark's `binaryFile` source, and its name of a file, URL-encoded.
PATH: Final = "path"
MODIFICATION_TIME: Final = "modificationTime"
LENGTH: Final = "length"
CONTENT: Final = "content"
FILE_PATH: Final = "file_path"

ID: Final = "id"  # int, 0 to MAX_ID: the last number in the file's base name
LABEL: Final = "label"  # double: 1.0 with glasses, 0.0 without
PIXELS: Final = "pixels"  # binary: height * width bytes, uint8 grey, row by row
FEATURES: Final = "features"  # Spark ML vector: pixels / 255
ERROR: Final = "error"  # string: why an image is in quarantine; null for the others
CLUSTER: Final = "cluster"  # int: smallest id among the image's near-duplicates, or its own
CONFLICTING: Final = "conflicting"  # boolean: whether labels in the image's cluster differ
FOLD: Final = "fold"  # int: the fold in which the image is held out, from 0
SPLIT: Final = "split"  # string: one of PARTS
IS_VALIDATION: Final = "is_validation"  # boolean: whether a row of a fit is in the validation set

# The parts of the split, in the order in which they are shown.
TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
PARTS: Final = (TRAIN, VALIDATION, TEST)

MAX_ID: Final = 2**31 - 1

PREDICTION: Final = "prediction"  # array<double>: [probability of glasses], as Elephas returns it
# Of the pipeline a double, the logit of that probability; of `GlassesModel` a vector.
RAW_PREDICTION: Final = "rawPrediction"
PREDICTED_LABEL: Final = "predicted_label"  # double: 1.0 where it reaches the threshold
