"""Digest of a run's data, which changes with any image or label."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL, PIXELS


def data_digest(pixels: DataFrame, wanted: Iterable[int] = ()) -> tuple[str, dict[int, bytes]]:
    """Return the digest of the images and labels of a run, and the pixels of some, in one pass.

    Args:
        pixels: ``id`` (unique), ``label`` and ``pixels``, in any order.
        wanted: Ids of a few images.

    Returns:
        16 hexadecimal digits: the exclusive or of a 64-bit hash of every row (Spark's
        ``xxhash64``). It detects accidental differences, not deliberate ones. Then the pixels of
        each wanted image by its id.
    """
    is_wanted = F.col(ID).isin(sorted(wanted))
    row = pixels.agg(
        F.bit_xor(F.xxhash64(ID, LABEL, PIXELS)).alias("digest"),
        F.collect_list(F.when(is_wanted, F.struct(ID, PIXELS))).alias("found"),
    ).first()
    # Java's integers are signed; the value is null if there are no rows.
    digest = (row.digest or 0 if row else 0) % 2**64
    found = {image[ID]: bytes(image[PIXELS]) for image in (row.found if row else ())}
    return f"{digest:016x}", found
