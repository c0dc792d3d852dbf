"""Comparison of the image files with the stored rows, to find what changed since."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ERROR, FILE_PATH, ID, LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.loading.dataset import Dataset
from glasses_spark.loading.images import is_cheaper_by_name
from glasses_spark.preprocessing.decoding.batches import FAILED, UNREADABLE
from glasses_spark.runtime.persist import persist

# Columns that identify a file and its state.
FILE: Final = (ID, PATH, LENGTH, MODIFICATION_TIME)

_IGNORE_MISSING: Final = "spark.sql.files.ignoreMissingFiles"
_LABELLED: Final = "labelled"
_UNREADABLE: Final = "unreadable"


@dataclass(frozen=True)
class ChangedFiles:
    """Files that are missing from a store, and stored rows that are out of date.

    A file that could not be read is missing and its row stale, so that it is tried again.

    Attributes:
        missing: Number of labelled files without a valid row.
        duplicates: Number of rows of a file beyond its first.
        files: The missing files, to be decoded; None if there are none.
        stale: ``path``, ``length`` and ``modificationTime`` of the rows whose file is gone
            or has another length or time; None if there are none.
    """

    missing: int
    duplicates: int
    files: DataFrame | None
    stale: DataFrame | None


@contextmanager
def find_changes(dataset: Dataset, stored: DataFrame) -> Iterator[ChangedFiles]:
    """Compare the files of a dataset with stored rows; the result is valid in the block.

    Args:
        dataset: The files.
        stored: The rows of the store.
    """
    # Spark reads the setting when the frame is persisted.
    with _missing_files_ignored(dataset):
        listing = persist(_list_files(dataset))
    try:
        yield _compare(dataset, listing, stored)
    finally:
        listing.unpersist()


def drop_stale(stored: DataFrame, stale: DataFrame) -> DataFrame:
    """Remove the stale rows from the stored ones.

    Stale rows are usually few, so they are broadcast instead of shuffling the pixels.
    """
    return stored.join(F.broadcast(stale), _same_state(stored, stale), "left_anti")


def _compare(dataset: Dataset, listing: DataFrame, stored: DataFrame) -> ChangedFiles:
    rows = stored.select(PATH, LENGTH, MODIFICATION_TIME, _was_unreadable().alias(_UNREADABLE))
    is_valid = _same_state(listing, rows) & ~rows[_UNREADABLE]
    no_file, no_row = listing[PATH].isNull(), rows[PATH].isNull()
    # All three counts in one pass over the names.
    missing, gone, duplicates = (
        listing.join(rows, is_valid, "full_outer")
        .agg(
            F.count_if(F.coalesce(listing[_LABELLED], F.lit(False)) & no_row),
            F.count_if(no_file & ~no_row),
            # A file may also have rows of two states, of which one is stale.
            F.count(rows[PATH]) - F.count_distinct(rows[PATH]),
        )
        .collect()[0]
    )
    labelled = listing.where(_LABELLED)
    to_decode = labelled.join(rows, _same_state(labelled, rows) & ~rows[_UNREADABLE], "left_anti")
    return ChangedFiles(
        missing=missing,
        duplicates=duplicates,
        files=_select_files(dataset, to_decode, missing) if missing else None,
        stale=rows.join(listing, is_valid, "left_anti") if gone else None,
    )


def _select_files(dataset: Dataset, files: DataFrame, count: int) -> DataFrame:
    if is_cheaper_by_name(count, of=dataset.account.images):
        names = [row[FILE_PATH] for row in files.select(FILE_PATH).collect()]
        # A file that was deleted after the listing has no name here: it is found by its id.
        if None not in names:
            return dataset.files(names, count=count)
    all_files = dataset.files(None, count=count)
    return all_files.join(F.broadcast(files.select(ID)), ID, "left_semi")


def _list_files(dataset: Dataset) -> DataFrame:
    """Return all image files, with the column ``labelled``: whether the dataset uses them.

    A labelled file that was deleted after the listing has its id only. So it counts as
    missing, and decoding quarantines it.
    """
    labelled = dataset.labels.select(ID, F.lit(True).alias(_LABELLED))
    return dataset.listing.join(labelled, ID, "full_outer").select(
        *FILE, FILE_PATH, F.coalesce(F.col(_LABELLED), F.lit(False)).alias(_LABELLED)
    )


@contextmanager
def _missing_files_ignored(dataset: Dataset) -> Iterator[None]:
    """Let Spark skip files that were deleted after the listing, within the block.

    Python workers open files on a disk by their names and report a missing one. Elsewhere
    Spark itself reads the content, and a skipped file would be lost without a trace.
    """
    conf = dataset.labels.sparkSession.conf
    before = str(conf.get(_IGNORE_MISSING))
    conf.set(_IGNORE_MISSING, "true" if dataset.on_disk else before)
    try:
        yield
    finally:
        conf.set(_IGNORE_MISSING, before)


def _was_unreadable() -> Column:
    """Return whether a row's file may be readable now, such as after a lack of memory."""
    failed = F.col(ERROR).startswith(UNREADABLE) | F.col(ERROR).startswith(FAILED)
    return F.coalesce(failed, F.lit(False))


def _same_state(left: DataFrame, right: DataFrame) -> Column:
    """Return whether two rows describe the same state of the same file.

    An empty file has a null time, a missing file also a null length.
    """
    return (
        (left[PATH] == right[PATH])
        & left[LENGTH].eqNullSafe(right[LENGTH])
        & left[MODIFICATION_TIME].eqNullSafe(right[MODIFICATION_TIME])
    )
