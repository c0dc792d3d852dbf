"""Digest of a run's data, which changes with any image or label."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL, PIXELS


def data_digest(pixels: DataFrame) -> str:
    """Return the digest of the images and labels of a run.

    Args:
        pixels: ``id`` (unique), ``label`` and ``pixels``, in any order.

    Returns:
        16 hexadecimal digits: the exclusive or of a 64-bit hash of every row (Spark's
        ``xxhash64``). It detects accidental differences, not deliberate ones.
    """
    row = pixels.agg(F.bit_xor(F.xxhash64(ID, LABEL, PIXELS))).first()
    # Java's integers are signed; the value is null if there are no rows.
    return f"{(row[0] if row and row[0] is not None else 0) % 2**64:016x}"
