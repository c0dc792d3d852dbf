"""Empty files, which Spark's file sources hide."""

from __future__ import annotations

from itertools import chain
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame

from glasses_spark.columns import FILE_PATH, PATH
from glasses_spark.errors import ImagesError
from glasses_spark.loading.listing import Listing
from glasses_spark.printable import printable

# Their names are collected in the driver. More than this means a broken copy, not a few
# bad images.
MAX_EMPTY_FILES: Final = 10_000

_EXAMPLES: Final = 3


def find_empty_files(scanned: DataFrame, listing: Listing) -> DataFrame:
    """Find the files of length 0, which no scan of Spark returns.

    An interrupted copy leaves such files behind. Without this step they would be neither
    used nor counted nor quarantined.

    Args:
        scanned: ``file_path`` of each file that a scan returns.
        listing: Spark's listing of the same files.

    Returns:
        ``path`` (not URL-encoded) and ``file_path`` of each file missing from ``scanned``.

    Raises:
        ImagesError: There are more than ``MAX_EMPTY_FILES``.
    """
    if listing.hidden > MAX_EMPTY_FILES:
        names = _hidden_names(scanned, listing, _EXAMPLES)
        examples = ", ".join(printable(unquote(name)) for name in names)
        raise ImagesError(
            f"{listing.hidden} image files are empty, at most {MAX_EMPTY_FILES} are accepted: "
            f"{examples}, ... Copy the images again"
        )
    names = _hidden_names(scanned, listing, MAX_EMPTY_FILES)
    table = pa.table(
        [
            pa.array([unquote(name) for name in names], pa.string()),
            pa.array(names, pa.string()),
        ],
        names=[PATH, FILE_PATH],
    )
    return scanned.sparkSession.createDataFrame(table)


def _hidden_names(scanned: DataFrame, listing: Listing, limit: int) -> list[str]:
    names = pa.table({FILE_PATH: pa.array(sorted(chain.from_iterable(listing.chunks())))})
    missing = scanned.sparkSession.createDataFrame(names).join(
        scanned.select(FILE_PATH), FILE_PATH, "left_anti"
    )
    return [row[FILE_PATH] for row in missing.orderBy(FILE_PATH).take(limit)]
