"""Split of the images into training set, validation set and test set."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER, ID, TEST, TRAIN, VALIDATION
from glasses_spark.config.data import SplitConfig

# The upper bits of the hash, as many as a double represents exactly.
_BITS: Final = 53


def split_column(*, test: float, validation: float = 0.0, seed: int, key: str = ID) -> Column:
    """Return the column that assigns each row to a part of the split.

    The part of a row depends only on the seed and its id. The order of the files, the
    partitions and other rows do not matter, so a new file moves no other file to another
    part. The fractions are therefore met in expectation, overall and within each label: of
    1,000 rows, 200 +- 25 (two standard deviations) are in a test set of 0.2.

    Args:
        test: Fraction of all rows in the test set, above 0 and below 1.
        validation: Fraction of all rows in the validation set, in [0, 1); the sum with
            ``test`` is below 1.
        seed: Seed of the split, a 64-bit integer.
        key: Integer column to split by; rows with equal values are in the same part. See
            ``split_key``.

    Returns:
        A string column: ``"train"``, ``"validation"`` or ``"test"``.

    Raises:
        ConfigError: A fraction is out of range, or no rows are left to train on.
    """
    SplitConfig(test=test, validation=validation)  # checks the fractions
    chance = _chance(seed, key)
    return F.when(chance < test, TEST).when(chance < test + validation, VALIDATION).otherwise(TRAIN)


def split_by_id(frame: DataFrame, *, test: float, seed: int) -> tuple[DataFrame, DataFrame]:
    """Split a frame into a training set and a test set.

    Rows are assigned by ``id``, or by ``cluster`` if the frame has that column.

    Args:
        frame: Any frame with the column ``id``.
        test: Fraction of the rows in the test set, above 0 and below 1, met in
            expectation (see ``split_column``).
        seed: Seed of the split, a 64-bit integer.

    Returns:
        The training set and the test set, with the columns of ``frame``.

    Raises:
        ConfigError: ``test`` is not between 0 and 1.
    """
    part = split_column(test=test, seed=seed, key=split_key(frame))
    return frame.where(part == TRAIN), frame.where(part == TEST)


def split_key(frame: DataFrame) -> str:
    """Return the name of the column to split by: ``cluster`` if the frame has it, else ``id``.

    The cluster of an image without near-duplicates is its own id, so both give it the same
    part.
    """
    return CLUSTER if CLUSTER in frame.columns else ID


def _chance(seed: int, key: str) -> Column:
    """Return a number in [0, 1) for each key, uniform over keys, independent between seeds."""
    # The name makes these numbers independent of others by seed and id. The cast matters:
    # Spark hashes an int and a bigint of the same value differently.
    mixed = F.xxhash64(F.lit(seed).cast("bigint"), F.lit("split"), F.col(key).cast("bigint"))
    return F.shiftrightunsigned(mixed, 64 - _BITS) / F.lit(float(2**_BITS))
