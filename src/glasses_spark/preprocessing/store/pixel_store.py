"""Pixel store: decoded pixels in Parquet, so that each image is decoded only once.

A store is a folder of Parquet folders, its *segments*: one ``base-...`` and later
``delta-...`` segments. A segment is valid once Spark has marked it as complete, and never changes
afterwards, so an interrupted run leaves the store as it was. Stale rows, whose file was
changed or deleted, are removed by a new base, which replaces all segments with smaller numbers.

A run reads the segments that it has compared with the files, whatever others write meanwhile.
Its lease keeps them (see ``lease``). Segments that no lease names and no later run would read are
removed by the next run.
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
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
from glasses_spark.preprocessing.store.damage import checked_pixels, damaged_file
from glasses_spark.preprocessing.store.lease import FOLDER as LEASES
from glasses_spark.preprocessing.store.lease import Lease, open_lease
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.connect import is_connect, runs_locally
from glasses_spark.runtime.location import is_uri, spark_path
from glasses_spark.runtime.spark_errors import spark_error_types

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

# Parquet writes a checksum of each page. Files of others in a segment are not read.
_READ_OPTIONS: Final = {
    "parquet.page.verify-checksum.enabled": "true",
    "pathGlobFilter": "part-*",
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
        lease: Keeps the segments of the frame until it is released; None without a store, and
            under Spark Connect.
    """

    frame: DataFrame
    decoded: int
    reused: int
    counts: Counts | None = None
    lease: Lease | None = None

    def release(self) -> None:
        """Unpersist the frame, and end the lease."""
        self.frame.unpersist()
        if self.lease is not None:
            self.lease.release()


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

        New and changed files are decoded, and those of damaged segments again; rows of deleted
        files are removed.

        Args:
            dataset: Images of this store's location.
            part: Part of the split by ``id``, by which to count the good images.

        Returns:
            The pixels of the dataset's labelled images.
        """
        lease = open_lease(self._spark, self.folder)
        try:
            segments, decoded, counts = self._updated_segments(dataset, part)
            if lease is not None:
                with suppress(*hadoop.error_types()):  # the next run tries again
                    lease.use(segments)
                    self._remove_unused(lease)
            elif is_connect(self._spark):
                self._remove_replaced(segments)
        except BaseException:
            if lease is not None:
                lease.release()
            raise
        frame = (
            self._read(segments, check=True)
            .join(F.broadcast(dataset.labels), ID)
            .select(PATH, ID, LABEL, PIXELS, ERROR)
        )
        reused = dataset.account.used - decoded
        logger.info("Pixel store: %d images decoded, %d reused", decoded, reused)
        return StoredPixels(frame, decoded=decoded, reused=reused, counts=counts, lease=lease)

    def verify(self) -> list[str]:
        """Read all rows, and compare them with their checksums and the size of the pixels.

        Returns:
            The files that are damaged, or hold other columns; their segments are no longer
            valid, so that the next update decodes their images again.
        """
        damaged = []
        for segment in self._list_segments():
            rows = self._read([segment], check=True)
            try:
                rows.agg(F.bit_xor(F.xxhash64(*COLUMNS))).collect()
            except spark_error_types() as error:
                if not damaged_file(error, [segment]):
                    raise
                damaged.append(self._drop_damaged(error, [segment]))
        return damaged

    def vacuum(self) -> list[str]:
        """Remove what no run uses: replaced and incomplete segments.

        Returns:
            Names of the removed segments.
        """
        lease = Lease(self._spark, self.folder)
        try:
            lease.use(())
            return self._remove_unused(lease)
        finally:
            lease.release()

    def invalidate_damaged(self, error: BaseException) -> str | None:
        """Find the file of this store that made Spark fail, and let the next run decode it again.

        Args:
            error: Any exception.

        Returns:
            The file; None if the error does not name one of this store.
        """
        segments = self._list_segments()
        return self._drop_damaged(error, segments) if damaged_file(error, segments) else None

    def _updated_segments(
        self, dataset: Dataset, part: Column | None
    ) -> tuple[list[str], int, Counts | None]:
        """Return the segments that hold the dataset, and what was decoded for it."""
        while segments := self._list_segments():
            try:
                return (*self._update_segments(dataset, segments), None)
            except spark_error_types() as error:
                # Each time one segment less.
                if not damaged_file(error, segments):
                    raise
                file = self._drop_damaged(error, segments)
                logger.warning(
                    "Pixel store: %s is damaged; the images of its segment are decoded again", file
                )
        # An empty store needs no comparison, and writing it counts the images.
        pixels, read_counts = observe_counts(self._decode(dataset.undecoded_files), part, PARTS)
        written = self._write("base", pixels)
        return [written], dataset.account.used, read_counts()

    def _update_segments(self, dataset: Dataset, segments: list[str]) -> tuple[list[str], int]:
        """Write a new segment if files changed; return the segments and the decoded images."""
        stored = self._read(segments)
        with find_changes(dataset, stored) as changes:
            fresh = None if changes.files is None else self._decode(changes.files)
            if changes.stale is not None or changes.duplicates or len(segments) > MAX_DELTAS:
                # Checked, because their checksums are written anew.
                stored = self._read(segments, check=True)
                rows = stored if changes.stale is None else drop_stale(stored, changes.stale)
                # Two runs at the same time may have decoded the same files.
                rows = rows.dropDuplicates([PATH]) if changes.duplicates else rows
                rows = rows if fresh is None else rows.unionByName(fresh)
                segments = [self._write("base", rows)]
            elif fresh is not None:
                segments = [*segments, self._write("delta", fresh)]
        return segments, changes.missing

    def _drop_damaged(self, error: BaseException, segments: Sequence[str]) -> str:
        """Make the segment of the file that an error names invalid; return the file."""
        file = damaged_file(error, segments)
        assert file is not None
        marker = f"{self.folder}/{file.partition('/')[0]}/{_COMPLETE}"
        hadoop.delete(self._spark, marker)
        return f"{self.folder}/{file}"

    def _remove_unused(self, lease: Lease) -> list[str]:
        """Remove the segments that neither this run nor another one uses or would use."""
        others = lease.others()
        if None in others:
            return []  # another run is choosing or writing its segments
        used = {segment for segments in others for segment in segments or ()}
        used.update(self._list_segments(), lease.segments or ())
        unused = [name for name in self._all_segments() if name not in used]
        for name in unused:
            hadoop.delete(self._spark, f"{self.folder}/{name}")
        return unused

    def _decode(self, files: DataFrame) -> DataFrame:
        return decode_contents(files, FILE, height=self._height, width=self._width)

    def _remove_replaced(self, segments: Sequence[str]) -> None:
        """Remove what the base replaces, unless there is any lease: Connect cannot read them."""
        leases = f"{self.folder}/{LEASES}"
        if hadoop.exists(self._spark, leases) and hadoop.list_names(self._spark, leases):
            return
        for name in self._all_segments():
            if _number(name) < _number(segments[0]):
                hadoop.delete(self._spark, f"{self.folder}/{name}")

    def _read(self, segments: Sequence[str], *, check: bool = False) -> DataFrame:
        """Return the rows of segments; with ``check`` pixels of another size fail the query."""
        paths = [spark_path(f"{self.folder}/{segment}") for segment in segments]
        reader = self._spark.read.schema(SCHEMA).options(**_READ_OPTIONS)
        rows = reader.parquet(*paths)
        return checked_pixels(rows, self._height * self._width) if check else rows

    def _write(self, kind: str, rows: DataFrame) -> str:
        # After all that exist, valid or not, so that a base replaces them.
        number = 1 + max(map(_number, self._all_segments()), default=0)
        # A random suffix: two runs that write at the same time use different names.
        name = f"{kind}-{number:06d}-{uuid.uuid4().hex[:8]}"
        rows.select(*COLUMNS).write.options(**_WRITE_OPTIONS).parquet(f"{self.folder}/{name}")
        return name

    def _all_segments(self) -> list[str]:
        if not hadoop.exists(self._spark, self.folder):
            return []
        names = hadoop.list_names(self._spark, self.folder)
        return [name for name in names if _SEGMENT.fullmatch(name)]

    def _list_segments(self) -> list[str]:
        """Return the valid segments: the newest complete base and the complete deltas after it."""
        complete = [
            name
            for name in self._all_segments()
            if hadoop.exists(self._spark, f"{self.folder}/{name}/{_COMPLETE}")
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
