"""Comparison: the files that there are, held against the rows that a store has of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ERROR, ID, LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.loading.dataset import Dataset, FileState
from glasses_spark.loading.empty_files import FILE_PATH
from glasses_spark.loading.images import are_named
from glasses_spark.preprocessing.decoding.batches import UNREADABLE
from glasses_spark.preprocessing.quarantine import Counts

# So many files are looked at, and rows fetched, in the driver: 5 microseconds and some 500
# bytes each, where Spark's own comparison takes two seconds in a JVM that has just started.
MOST_IN_DRIVER: Final = 50_000
FILE: Final = (ID, PATH, LENGTH, MODIFICATION_TIME)
_LABELLED: Final = "labelled"
_UNREAD: Final = "unread"


@dataclass(frozen=True)
class Comparison:
    """What a store lacks, and what it has to lose.

    A file whose row says that it could not be read is missing, and its row stale: it may be
    read another time.

    Attributes:
        missing: How many labelled files have no row.
        twice: How many rows are about a file that another row is about.
        files: The missing files, to be decoded; None where there are none.
        stale: ``path``, ``length`` and ``modificationTime`` of the rows that have no file, or
            not one of this length and time; None where there are none.
        counts: The labelled images, where none is missing and they have been counted.
    """

    missing: int
    twice: int
    files: DataFrame | None
    stale: DataFrame | None
    counts: Counts | None = None


@contextmanager
def compared(
    dataset: Dataset, stored: DataFrame, part: Column | None = None
) -> Iterator[Comparison]:
    """Compare for the time of a block.

    Args:
        dataset: The files.
        stored: The rows of the store, with its columns.
        part: As for ``count_images``.
    """
    if dataset.account.images <= MOST_IN_DRIVER:
        yield _in_driver(dataset, stored, part)
        return
    listing = _marked(dataset).persist()
    try:
        yield _in_spark(dataset, listing, stored)
    finally:
        listing.unpersist()


def without(stored: DataFrame, stale: DataFrame) -> DataFrame:
    """The rows that stay; few are stale, as a rule, and are sent to the pixels."""
    return stored.join(F.broadcast(stale), _same_file(stored, stale), "left_anti")


def _in_driver(dataset: Dataset, stored: DataFrame, part: Column | None) -> Comparison:
    file_of = {state.path: state for state in dataset.states()}
    rows = stored.select(
        PATH,
        LENGTH,
        F.unix_micros(MODIFICATION_TIME),
        _unread(),
        F.col(ERROR).isNotNull(),
        F.lit("") if part is None else part,
    ).collect()
    stale: list[tuple[str, int | None, int | None]] = []
    found: dict[str, tuple[bool, str]] = {}
    for path, length, time, unread, bad, name in rows:
        file = file_of.get(path)
        if file is None or unread or (length, time) != (file.length, file.time):
            stale.append((path, length, time))
        else:
            found[path] = bad, name
    used = [file for file in file_of.values() if file.used]
    missing = [file for file in used if file.path not in found]
    counts = None
    if not missing:
        outcomes = [found[file.path] for file in used]
        good = Counter(name for bad, name in outcomes if not bad)
        counts = Counts(
            len(outcomes), len(outcomes) - good.total(), {} if part is None else dict(good)
        )
    return Comparison(
        missing=len(missing),
        twice=len(rows) - len({row[0] for row in rows}),
        files=_named(dataset, missing) if missing else None,
        stale=_frame(stored, stale) if stale else None,
        counts=counts,
    )


def _named(dataset: Dataset, files: Sequence[FileState]) -> DataFrame:
    if dataset.on_disk or are_named(len(files), of=dataset.account.images):
        return dataset.files([file.name for file in files], count=len(files))
    # Reading a few in vain is cheaper than naming thousands in a query.
    every = dataset.files(None, count=len(files))
    paths = pa.table({PATH: pa.array([file.path for file in files], pa.string())})
    wanted = dataset.labels.sparkSession.createDataFrame(paths)
    return every.join(F.broadcast(wanted), PATH, "left_semi")


def _frame(stored: DataFrame, rows: list[tuple[str, int | None, int | None]]) -> DataFrame:
    types = (pa.string(), pa.int64(), pa.timestamp("us", "UTC"))
    columns = [pa.array([row[place] for row in rows], of) for place, of in enumerate(types)]
    table = pa.table(columns, names=[PATH, LENGTH, MODIFICATION_TIME])
    return stored.sparkSession.createDataFrame(table)


def _in_spark(dataset: Dataset, listing: DataFrame, stored: DataFrame) -> Comparison:
    known = stored.select(PATH, LENGTH, MODIFICATION_TIME, _unread().alias(_UNREAD))
    row_of = _same_file(listing, known) & ~known[_UNREAD]
    no_file, no_row = listing[PATH].isNull(), known[PATH].isNull()
    # In one pass over the names.
    missing, gone, twice = (
        listing.join(known, row_of, "full_outer")
        .agg(
            F.count_if(F.coalesce(listing[_LABELLED], F.lit(False)) & no_row),
            F.count_if(no_file),
            # Of one file there may also be rows of two states; one of them is stale.
            F.count(known[PATH]) - F.count_distinct(known[PATH]),
        )
        .collect()[0]
    )
    labelled = listing.where(_LABELLED)
    to_decode = labelled.join(known, _same_file(labelled, known) & ~known[_UNREAD], "left_anti")
    return Comparison(
        missing=missing,
        twice=twice,
        files=_chosen(dataset, to_decode, missing) if missing else None,
        stale=known.join(listing, row_of, "left_anti") if gone else None,
    )


def _chosen(dataset: Dataset, files: DataFrame, count: int) -> DataFrame:
    if are_named(count, of=dataset.account.images):
        names = [row[FILE_PATH] for row in files.select(FILE_PATH).collect()]
        return dataset.files(names, count=count)
    every = dataset.files(None, count=count)
    return every.join(F.broadcast(files.select(ID)), ID, "left_semi")


def _marked(dataset: Dataset) -> DataFrame:
    """Every file of the data set's place, and whether it is one of its labelled images."""
    labelled = dataset.labels.select(ID, F.lit(True).alias(_LABELLED))
    return dataset.listing.join(F.broadcast(labelled), ID, "left").select(
        *FILE, FILE_PATH, F.coalesce(F.col(_LABELLED), F.lit(False)).alias(_LABELLED)
    )


def _unread() -> Column:
    """Whether the file of a row could not be read at all."""
    return F.coalesce(F.col(ERROR).startswith(UNREADABLE), F.lit(False))


def _same_file(one: DataFrame, other: DataFrame) -> Column:
    """Whether two rows are about one state of one file.

    An empty file has no time, and one that was not there any more no length.
    """
    return (
        (one[PATH] == other[PATH])
        & one[LENGTH].eqNullSafe(other[LENGTH])
        & one[MODIFICATION_TIME].eqNullSafe(other[MODIFICATION_TIME])
    )
