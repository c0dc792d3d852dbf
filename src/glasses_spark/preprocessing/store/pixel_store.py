"""Store: decoded pixels in Parquet, so that an image is decoded once and not once a run.

A store is a folder of Parquet folders, its *parts*: one ``base-…``, and ``delta-…``
with what came later. A part counts once Spark has marked it as complete, and is never
changed afterwards: whatever is killed half way leaves the store as it was. Rows that
are no longer true (their file was changed or deleted) leave by a new base, which takes
the place of all parts with smaller numbers.
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

from glasses_spark.columns import ERROR, ID, LABEL, LENGTH, MODIFICATION_TIME, PATH, PIXELS
from glasses_spark.loading.dataset import Dataset
from glasses_spark.preprocessing.decoding.decode import DECODER_VERSION
from glasses_spark.preprocessing.pixels import decode_contents
from glasses_spark.preprocessing.quarantine import Counts, counted
from glasses_spark.preprocessing.split import PARTS
from glasses_spark.preprocessing.store.changed_files import FILE, compared, without
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.location import SCHEME, spark_path
from glasses_spark.runtime.master import is_local

logger = logging.getLogger(__name__)

COLUMNS: Final = (ID, PATH, LENGTH, MODIFICATION_TIME, PIXELS, ERROR)

SCHEMA: Final = (
    f"{ID} int, {PATH} string, {LENGTH} bigint, {MODIFICATION_TIME} timestamp, "
    f"{PIXELS} binary, {ERROR} string"
)

# Each delta is a folder to list and a few small files to open; beyond this many the
# store is written anew, as one base.
MAX_DELTAS: Final = 16

# No two faces have the same pixels: to look for repetitions takes time and finds none.
# Tasks put their files where they stay, without a second move when all are there: what has
# no mark of completeness does not count anyway.
_WRITING: Final = {
    f"parquet.enable.dictionary#{PIXELS}": "false",
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
}

_PART: Final = re.compile(r"(base|delta)-(\d{6,})-[0-9a-f]{8}")
_COMPLETE: Final = "_SUCCESS"


@dataclass(frozen=True)
class Stored:
    """The pixels of a data set, all of them in the store.

    Attributes:
        frame: ``path``, ``id``, ``label``, ``pixels`` and ``error``, as ``to_pixels``
            gives them, read from Parquet each time it is used.
        decoded: How many images were decoded for it now.
        reused: How many were in the store.
        counts: How many there are, where that came of bringing it up to date.
    """

    frame: DataFrame
    decoded: int
    reused: int
    counts: Counts | None = None


class PixelStore:
    """The decoded pixels of the images in one place, at one size.

    Other sizes, other patterns of names and other versions of the decoder have
    folders of their own below the same root.

    Args:
        spark: Session that reads and writes it.
        root: URI below which stores lie, as ``usable_root`` gives it.
        location: Where the images are, as for ``load_dataset``.
        glob: Pattern of their names.
        height: Rows of the pixels, at least 1.
        width: Columns of the pixels, at least 1.
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

    def update(self, dataset: Dataset, part: Column | None = None) -> Stored:
        """Bring the store up to date with the files, and read what the data set needs.

        Files that are not in the store, or were changed since, are decoded; rows of
        files that are gone leave it.

        Args:
            dataset: Images of this store's place.
            part: The part of a split by ``id``, by which good images are to be counted.

        Returns:
            The pixels of the data set's labelled images.
        """
        parts = self._parts()
        counts: Counts | None
        if parts:
            decoded, counts = self._renew(dataset, parts, part)
        else:
            # Nothing to compare with, and nothing else to count: three queries less.
            decoded = dataset.account.used
            pixels, count = counted(self._decode(dataset.undecoded_files), part, PARTS)
            self._write("base", [], pixels)
            counts = count()
        frame = (
            self._read(self._parts())
            .join(F.broadcast(dataset.labels), ID)
            .select(PATH, ID, LABEL, PIXELS, ERROR)
        )
        reused = dataset.account.used - decoded
        logger.info("Pixel store: %d images decoded, %d reused", decoded, reused)
        return Stored(frame, decoded=decoded, reused=reused, counts=counts)

    def _renew(
        self, dataset: Dataset, parts: Sequence[str], part: Column | None
    ) -> tuple[int, Counts | None]:
        """Make rows and files agree; returns how many images were decoded for it."""
        stored = self._read(parts)
        with compared(dataset, stored, part) as found:
            fresh = None if found.files is None else self._decode(found.files)
            if found.stale is not None or found.twice or len(parts) > MAX_DELTAS:
                kept = stored if found.stale is None else without(stored, found.stale)
                # Two runs at once may have decoded the same files.
                kept = kept.dropDuplicates([PATH]) if found.twice else kept
                self._write("base", parts, kept if fresh is None else kept.unionByName(fresh))
            elif fresh is not None:
                self._write("delta", parts, fresh)
        return found.missing, found.counts

    def _decode(self, files: DataFrame) -> DataFrame:
        return decode_contents(files, FILE, height=self._height, width=self._width)

    def _read(self, parts: Sequence[str]) -> DataFrame:
        paths = [spark_path(f"{self.folder}/{part}") for part in parts]
        return self._spark.read.schema(SCHEMA).parquet(*paths)

    def _write(self, kind: str, parts: Sequence[str], rows: DataFrame) -> None:
        number = 1 + max((_number(part) for part in parts), default=0)
        # A name of its own: two runs that write at once do not meet.
        name = f"{kind}-{number:06d}-{uuid.uuid4().hex[:8]}"
        rows.select(*COLUMNS).write.options(**_WRITING).parquet(f"{self.folder}/{name}")
        if kind == "base":
            for part in parts:
                self._delete(part)

    def _parts(self) -> list[str]:
        """The parts that count: the newest complete base, and the complete deltas after it."""
        if not hadoop.exists(self._spark, self.folder):
            return []
        names = hadoop.list_names(self._spark, self.folder)
        complete = sorted(
            name
            for name in names
            if _PART.fullmatch(name)
            and hadoop.exists(self._spark, f"{self.folder}/{name}/{_COMPLETE}")
        )
        bases = [name for name in complete if name.startswith("base-")]
        newest = bases[-1:]
        after = _number(newest[0]) if newest else 0
        deltas = [n for n in complete if n.startswith("delta-") and _number(n) > after]
        return newest + sorted(deltas, key=_number)

    def _delete(self, part: str) -> None:
        hadoop.delete(self._spark, f"{self.folder}/{part}")


def usable_root(spark: SparkSession, root: str) -> str | None:
    """Tell where a store can lie, for the driver and the executors alike.

    Args:
        spark: The running session.
        root: Path or URI; a path is of this machine in local mode, and of Spark's
            default file system on a cluster.

    Returns:
        The URI; None where it would be a local disk, which on a cluster is another one
        for each machine. A disk that they share is named with ``file:``.
    """
    if SCHEME.match(root):
        return root.rstrip("/")
    if is_local(spark.sparkContext):
        return f"file:{Path(root).expanduser().absolute()}"
    if hadoop.is_disk(spark, root):
        return None
    return hadoop.qualify(spark, root)


def _number(part: str) -> int:
    return int(part.split("-")[1])
