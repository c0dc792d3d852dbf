"""Split: which rows train, which validate, which test."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER, ID
from glasses_spark.errors import ConfigError

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
PARTS: Final = (TRAIN, VALIDATION, TEST)

# The hash's upper 53 bits: as many as a double holds exactly.
_BITS: Final = 53


def split_column(*, test: float, validation: float = 0.0, seed: int, key: str = ID) -> Column:
    """Assign each row of a frame with the column ``id`` to a part.

    The part of a row follows from the seed and its id alone: neither the order of
    the files nor the partitions nor other rows matter, so that a file added later
    moves no other file. This is also why the fractions are met in expectation and
    not exactly, within each label as well as overall: of 1,000 rows of one label
    200 are expected in a ``test`` of 0.2, give or take 25 (two standard deviations).

    Args:
        test: Fraction of all rows for the test, in [0, 1).
        validation: Fraction of all rows for the validation, in [0, 1); with
            ``test`` below 1.
        seed: Chooses another split; any integer of 64 bits.
        key: Column of whole numbers in place of the id, whose rows of one number are in
            one part; see ``split_key``.

    Returns:
        A string column: ``"train"``, ``"validation"`` or ``"test"``.

    Raises:
        ConfigError: A fraction is out of range, or nothing is left to train on.
    """
    _check_fractions(test, validation)
    chance = _chance(seed, key)
    return F.when(chance < test, TEST).when(chance < test + validation, VALIDATION).otherwise(TRAIN)


def split_by_id(frame: DataFrame, *, test: float, seed: int) -> tuple[DataFrame, DataFrame]:
    """Split a frame in two by the ids of its rows, or by their clusters where it has them.

    Args:
        frame: Any frame with the column ``id``.
        test: Fraction of the rows for the test, above 0 and below 1, met in
            expectation (see ``split_column``).
        seed: Chooses another split.

    Returns:
        The rows to train on and the rows to test on, with the columns of ``frame``.

    Raises:
        ConfigError: ``test`` is not between 0 and 1.
    """
    if not 0 < test < 1:
        raise ConfigError(f"split.test is {test}: give a fraction above 0 and below 1, such as 0.2")
    part = split_column(test=test, seed=seed, key=split_key(frame))
    return frame.where(part == TRAIN), frame.where(part == TEST)


def split_key(frame: DataFrame) -> str:
    """Name the column by which to split: ``cluster`` where the frame has it, else ``id``.

    An image without near-duplicates is in the cluster of its own id, thus in the same
    part either way.
    """
    return CLUSTER if CLUSTER in frame.columns else ID


def _chance(seed: int, key: str) -> Column:
    """Give each key a number in [0, 1), uniform over keys and independent between seeds."""
    # The name keeps this draw independent of any other draw by seed and id. The
    # cast matters: Spark hashes an int and a bigint of the same value differently.
    mixed = F.xxhash64(F.lit(seed).cast("bigint"), F.lit("split"), F.col(key).cast("bigint"))
    return F.shiftrightunsigned(mixed, 64 - _BITS) / F.lit(float(2**_BITS))


def _check_fractions(test: float, validation: float) -> None:
    for key, fraction in (("split.test", test), ("split.validation", validation)):
        if not 0 <= fraction < 1:
            raise ConfigError(f"{key} is {fraction}: give a fraction from 0 up to, not with, 1")
    if test + validation >= 1:
        raise ConfigError(
            f"split.test {test} and split.validation {validation} leave nothing to train on: "
            "their sum must stay below 1"
        )
