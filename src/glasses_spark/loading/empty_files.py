"""Empty files: those that Spark's file sources hide, found again."""

from __future__ import annotations

from itertools import chain
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame

from glasses_spark.columns import PATH
from glasses_spark.errors import ImagesError
from glasses_spark.loading.listing import Listing

# Spark's URL-encoded name of a file.
FILE_PATH: Final = "file_path"

# They are named in the driver. So many mean a broken copy, not a few bad images.
MAX_EMPTY_FILES: Final = 10_000

_EXAMPLES: Final = 3


def find_empty_files(scanned: DataFrame, listed: Listing) -> DataFrame:
    """Find the files of length 0, which no scan of Spark returns.

    A broken copy leaves such files behind. Without this they would vanish without
    a trace: neither used nor counted nor put aside.

    Args:
        scanned: ``file_path`` of each file that a scan returns.
        listed: What Spark has listed for it.

    Returns:
        ``path`` (not URL-encoded) and ``file_path`` of each other file.

    Raises:
        ImagesError: There are more than ``MAX_EMPTY_FILES``.
    """
    if listed.hidden > MAX_EMPTY_FILES:
        raise ImagesError(
            f"{listed.hidden} image files are empty, more than {MAX_EMPTY_FILES}: "
            f"{', '.join(unquote(name) for name in _hidden(scanned, listed, _EXAMPLES))}, ... "
            "Copy the images again"
        )
    names = _hidden(scanned, listed, MAX_EMPTY_FILES)
    table = pa.table(
        [
            pa.array([unquote(name) for name in names], pa.string()),
            pa.array(names, pa.string()),
        ],
        names=[PATH, FILE_PATH],
    )
    return scanned.sparkSession.createDataFrame(table)


def _hidden(scanned: DataFrame, listed: Listing, most: int) -> list[str]:
    names = pa.table({FILE_PATH: pa.array(sorted(chain.from_iterable(listed.chunks())))})
    missing = scanned.sparkSession.createDataFrame(names).join(
        scanned.select(FILE_PATH), FILE_PATH, "left_anti"
    )
    return [row[FILE_PATH] for row in missing.orderBy(FILE_PATH).take(most)]
