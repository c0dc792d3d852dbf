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
from typing import Any, Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import (
    ERROR,
    ID,
    LABEL,
    LENGTH,
    MODIFICATION_TIME,
    PATH,
    PIXELS,
)
from glasses_spark.executors import is_local
from glasses_spark.loading.dataset import Dataset
from glasses_spark.loading.empty_files import FILE_PATH
from glasses_spark.loading.images import are_named
from glasses_spark.loading.location import SCHEME, spark_path
from glasses_spark.preprocessing.batches import UNREADABLE
from glasses_spark.preprocessing.decode import DECODER_VERSION
from glasses_spark.preprocessing.preprocess import Counts, counted, decode_contents
from glasses_spark.preprocessing.split import PARTS

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

_FILE: Final = (ID, PATH, LENGTH, MODIFICATION_TIME)
_LABELLED: Final = "labelled"
_UNREAD: Final = "unread"

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
        counts: How many there are, where that came of the decoding.
    """

    frame: DataFrame
    decoded: int
    reused: int
    counts: Counts | None = None


@dataclass(frozen=True)
class _State:
    """How many labelled files have no row, rows no file, and rows are there twice."""

    missing: int
    gone: int
    twice: int


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
        parts, counts = self._parts(), None
        if parts:
            decoded = self._renew(dataset, parts)
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

    def _renew(self, dataset: Dataset, parts: Sequence[str]) -> int:
        """Make rows and files agree; returns how many images were decoded for it."""
        stored = self._read(parts)
        listing = _marked(dataset).persist()
        try:
            state = _compare(listing, stored)
            fresh = self._decoded(dataset, listing, stored, state.missing)
            if state.gone or state.twice or len(parts) > MAX_DELTAS:
                kept = self._still_true(listing, stored, state)
                self._write("base", parts, kept if fresh is None else kept.unionByName(fresh))
            elif fresh is not None:
                self._write("delta", parts, fresh)
        finally:
            listing.unpersist()
        return state.missing

    def _decoded(
        self, dataset: Dataset, listing: DataFrame, stored: DataFrame, count: int
    ) -> DataFrame | None:
        """Decode the labelled files that the store does not have, when the result is used."""
        if not count:
            return None
        known = _known(stored)
        labelled = listing.where(_LABELLED)
        missing = labelled.join(known, _row_of(labelled, known), "left_anti")
        if are_named(count, of=dataset.account.images):
            names = [row[FILE_PATH] for row in missing.select(FILE_PATH).collect()]
            files = dataset.files(names, count=count)
        else:
            # Reading a few in vain is cheaper than naming thousands.
            files = dataset.files(None, count=count)
            files = files.join(F.broadcast(missing.select(ID)), ID, "left_semi")
        return self._decode(files)

    def _decode(self, files: DataFrame) -> DataFrame:
        return decode_contents(files, _FILE, height=self._height, width=self._width)

    def _still_true(self, listing: DataFrame, stored: DataFrame, state: _State) -> DataFrame:
        # Few rows are gone, as a rule: they are sent to the pixels, and not the pixels to them.
        known = _known(stored)
        gone = known.join(listing, _row_of(listing, known), "left_anti")
        kept = stored.join(F.broadcast(gone), _same_file(stored, gone), "left_anti")
        # Two runs at once may have decoded the same files.
        return kept.dropDuplicates([PATH]) if state.twice else kept

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
        folder, files = self._hadoop(self.folder)
        if not files.exists(folder):
            return []
        names = [status.getPath().getName() for status in files.listStatus(folder)]
        complete = sorted(
            name
            for name in names
            if _PART.fullmatch(name) and files.exists(self._hadoop(f"{name}/{_COMPLETE}")[0])
        )
        bases = [name for name in complete if name.startswith("base-")]
        newest = bases[-1:]
        after = _number(newest[0]) if newest else 0
        deltas = [n for n in complete if n.startswith("delta-") and _number(n) > after]
        return newest + sorted(deltas, key=_number)

    def _delete(self, part: str) -> None:
        folder, files = self._hadoop(part)
        files.delete(folder, True)

    def _hadoop(self, name: str) -> tuple[Any, Any]:
        """A path of Hadoop's in the store's folder, and its file system."""
        jvm = self._spark.sparkContext._jvm
        assert jvm is not None
        path = name if name == self.folder else f"{self.folder}/{name}"
        hadoop = jvm.org.apache.hadoop.fs.Path(path)
        return hadoop, hadoop.getFileSystem(self._spark.sparkContext._jsc.hadoopConfiguration())


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
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    hadoop = jvm.org.apache.hadoop.fs.Path(root)
    files = hadoop.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if files.getScheme() == "file":
        return None
    return str(files.makeQualified(hadoop).toString())


def _marked(dataset: Dataset) -> DataFrame:
    """Every file of the data set's place, and whether it is one of its labelled images."""
    labelled = dataset.labels.select(ID, F.lit(True).alias(_LABELLED))
    return dataset.listing.join(F.broadcast(labelled), ID, "left").select(
        *_FILE, FILE_PATH, F.coalesce(F.col(_LABELLED), F.lit(False)).alias(_LABELLED)
    )


def _compare(listing: DataFrame, stored: DataFrame) -> _State:
    """Compare files and rows, in one pass over their names."""
    known = _known(stored)
    no_file, no_row = listing[PATH].isNull(), known[PATH].isNull()
    counts = (
        listing.join(known, _row_of(listing, known), "full_outer")
        .agg(
            F.count_if(F.coalesce(listing[_LABELLED], F.lit(False)) & no_row).alias("missing"),
            F.count_if(no_file).alias("gone"),
            # Of one file there may also be rows of two states; one of them is gone.
            (F.count(known[PATH]) - F.count_distinct(known[PATH])).alias("twice"),
        )
        .collect()[0]
    )
    return _State(**counts.asDict())


def _number(part: str) -> int:
    return int(part.split("-")[1])


def _known(stored: DataFrame) -> DataFrame:
    """What the rows are about, and whether their file could be read at all."""
    unread = F.coalesce(F.col(ERROR).startswith(UNREADABLE), F.lit(False)).alias(_UNREAD)
    return stored.select(PATH, LENGTH, MODIFICATION_TIME, unread)


def _row_of(listing: DataFrame, known: DataFrame) -> Column:
    """Whether a row says what there is to say of a file; it may be read another time."""
    return _same_file(listing, known) & ~known[_UNREAD]


def _same_file(one: DataFrame, other: DataFrame) -> Column:
    """Whether two rows are about one state of one file; an empty file has no time."""
    return (
        (one[PATH] == other[PATH])
        & (one[LENGTH] == other[LENGTH])
        & one[MODIFICATION_TIME].eqNullSafe(other[MODIFICATION_TIME])
    )
