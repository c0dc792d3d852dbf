"""Pixel store: decoded pixels in Parquet, so that each image is decoded only once.

A store is a folder of Parquet folders, its *segments*: one ``base-...`` and later
``delta-...`` segments. A segment is valid once Spark has marked it as complete, and never changes
afterwards, so an interrupted run leaves the store as it was. Stale rows, whose file was
changed or deleted, are removed by a new base, which replaces all segments with smaller numbers.
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import (
    ERROR,
    ID,
    LABEL,
    LENGTH,
    MODIFICATION_TIME,
    PARTS,
    PATH,
    PIXELS,
)
from glasses_spark.loading.dataset import Dataset
from glasses_spark.preprocessing.decoding.decode import DECODER_VERSION
from glasses_spark.preprocessing.pixels import decode_contents
from glasses_spark.preprocessing.quarantine import Counts, observe_counts
from glasses_spark.preprocessing.store.changed_files import FILE, drop_stale, find_changes
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.connect import runs_locally
from glasses_spark.runtime.location import is_uri, spark_path

logger = logging.getLogger(__name__)

COLUMNS: Final = (ID, PATH, LENGTH, MODIFICATION_TIME, PIXELS, ERROR)

SCHEMA: Final = (
    f"{ID} int, {PATH} string, {LENGTH} bigint, {MODIFICATION_TIME} timestamp, "
    f"{PIXELS} binary, {ERROR} string"
)

# Each delta is one more folder to list and a few more small files to open. Beyond this many
# the store is rewritten as one base.
MAX_DELTAS: Final = 16

# A dictionary of pixels costs time and saves nothing: no two images are equal. Version 2 of
# the committer lets tasks write their files in place, without a second move at the end;
# segments without the completion marker are ignored anyway.
_WRITE_OPTIONS: Final = {
    f"parquet.enable.dictionary#{PIXELS}": "false",
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
}

_SEGMENT: Final = re.compile(r"(base|delta)-(\d{6,})-[0-9a-f]{8}")
_COMPLETE: Final = "_SUCCESS"


@dataclass(frozen=True)
class StoredPixels:
    """The pixels of a dataset, all of them in the store.

    Attributes:
        frame: ``path``, ``id``, ``label``, ``pixels`` and ``error``, as from ``to_pixels``.
            Each use reads them from Parquet.
        decoded: Number of images decoded by this update.
        reused: Number of images that were in the store.
        counts: Counts of the images, if they were counted while the store was filled.
    """

    frame: DataFrame
    decoded: int
    reused: int
    counts: Counts | None = None


class PixelStore:
    """The decoded pixels of the images of one location, in one size.

    Other sizes, name patterns and decoder versions have separate folders under the same
    root.

    Args:
        spark: Session that reads and writes the store.
        root: URI of the folder that holds stores, from ``resolve_root``.
        location: Location of the images, as for ``load_dataset``.
        glob: Pattern of their names.
        height: Rows of the pixels, at least 1.
        width: Columns of the pixels, at least 1.

    Attributes:
        folder: URI of this store.
    """

    def __init__(
        self,
        spark: SparkSession,
        root: str,
        *,
        location: str,
        glob: str = "*.png",
        height: int = 128,
        width: int = 128,
    ) -> None:
        self._spark = spark
        self._height, self._width = height, width
        source = "\n".join((spark_path(location), glob, DECODER_VERSION))
        name = f"{height}x{width}-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
        self.folder = f"{root}/{name}"

    def update(self, dataset: Dataset, part: Column | None = None) -> StoredPixels:
        """Bring the store up to date with the files, and return the pixels of the dataset.

        New and changed files are decoded; rows of deleted files are removed.

        Args:
            dataset: Images of this store's location.
            part: Part of the split by ``id``, by which to count the good images.

        Returns:
            The pixels of the dataset's labelled images.
        """
        segments = self._list_segments()
        counts: Counts | None = None
        if segments:
            decoded = self._update_segments(dataset, segments)
        else:
            # An empty store needs no comparison, and writing it counts the images.
            decoded = dataset.account.used
            pixels, read_counts = observe_counts(self._decode(dataset.undecoded_files), part, PARTS)
            self._write("base", [], pixels)
            counts = read_counts()
        frame = (
            self._read(self._list_segments())
            .join(F.broadcast(dataset.labels), ID)
            .select(PATH, ID, LABEL, PIXELS, ERROR)
        )
        reused = dataset.account.used - decoded
        logger.info("Pixel store: %d images decoded, %d reused", decoded, reused)
        return StoredPixels(frame, decoded=decoded, reused=reused, counts=counts)

    def _update_segments(self, dataset: Dataset, segments: Sequence[str]) -> int:
        """Write a new segment if files changed; return the number of decoded images."""
        stored = self._read(segments)
        with find_changes(dataset, stored) as changes:
            fresh = None if changes.files is None else self._decode(changes.files)
            if changes.stale is not None or changes.duplicates or len(segments) > MAX_DELTAS:
                rows = stored if changes.stale is None else drop_stale(stored, changes.stale)
                # Two runs at the same time may have decoded the same files.
                rows = rows.dropDuplicates([PATH]) if changes.duplicates else rows
                self._write("base", segments, rows if fresh is None else rows.unionByName(fresh))
            elif fresh is not None:
                self._write("delta", segments, fresh)
        return changes.missing

    def _decode(self, files: DataFrame) -> DataFrame:
        return decode_contents(files, FILE, height=self._height, width=self._width)

    def _read(self, segments: Sequence[str]) -> DataFrame:
        paths = [spark_path(f"{self.folder}/{segment}") for segment in segments]
        return self._spark.read.schema(SCHEMA).parquet(*paths)

    def _write(self, kind: str, segments: Sequence[str], rows: DataFrame) -> None:
        number = 1 + max((_number(segment) for segment in segments), default=0)
        # A random suffix: two runs that write at the same time use different names.
        name = f"{kind}-{number:06d}-{uuid.uuid4().hex[:8]}"
        rows.select(*COLUMNS).write.options(**_WRITE_OPTIONS).parquet(f"{self.folder}/{name}")
        if kind == "base":
            for segment in segments:
                hadoop.delete(self._spark, f"{self.folder}/{segment}")

    def _list_segments(self) -> list[str]:
        """Return the valid segments: the newest complete base and the complete deltas after it."""
        if not hadoop.exists(self._spark, self.folder):
            return []
        complete = [
            name
            for name in hadoop.list_names(self._spark, self.folder)
            if _SEGMENT.fullmatch(name)
            and hadoop.exists(self._spark, f"{self.folder}/{name}/{_COMPLETE}")
        ]
        newest = [name for name in complete if name.startswith("base-")][-1:]
        base_number = _number(newest[0]) if newest else 0
        deltas = [n for n in complete if n.startswith("delta-") and _number(n) > base_number]
        return newest + sorted(deltas, key=_number)


def resolve_root(spark: SparkSession, root: str) -> str | None:
    """Return the URI of a folder for stores that the driver and all executors reach.

    Args:
        spark: The running session.
        root: Path or URI. A path is on this machine in local mode, and on Spark's default
            file system on a cluster.

    Returns:
        The URI; None for a path on a cluster whose default file system is the local disk,
        which differs between machines. Use ``file:`` for a disk that they share.
    """
    if is_uri(root):
        return root.rstrip("/")
    if runs_locally(spark):
        return f"file:{Path(root).expanduser().absolute()}"
    return None if hadoop.is_disk(spark, root) else hadoop.qualify(spark, root)


def _number(segment: str) -> int:
    return int(segment.split("-")[1])
