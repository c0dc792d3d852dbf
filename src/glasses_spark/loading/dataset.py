"""Dataset: images joined with their labels, and an account of every row left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import CONTENT, ID, LABEL, LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.loading.account import Account, log_account
from glasses_spark.loading.empty_files import FILE_PATH
from glasses_spark.loading.images import (
    are_named,
    empty_files,
    locate_files,
    open_images,
    read_contents,
    require_usable,
    scan,
)
from glasses_spark.loading.labelled import LabelledFiles
from glasses_spark.loading.labels import label_of_each, labels_frame
from glasses_spark.loading.limit import choose_below_limit
from glasses_spark.loading.listing import Listing
from glasses_spark.runtime.location import is_on_disk, state_on_disk
from glasses_spark.runtime.master import is_local

logger = logging.getLogger(__name__)


class FileState(NamedTuple):
    """One image file as it is now.

    Attributes:
        name: Its ``file_path``.
        path: Its name as Spark writes it, not URL-encoded.
        length: In bytes; None where it cannot be looked at any more.
        time: Its ``modificationTime`` in microseconds; None where it is empty as well.
        used: Whether it is one of the labelled images.
    """

    name: str
    path: str
    length: int | None
    time: int | None
    used: bool


@dataclass(frozen=True)
class Dataset:
    """Labelled images, not read yet.

    Attributes:
        labels: ``id`` (int) and ``label`` (double, 0.0 or 1.0) of the rows that are used.
        account: What was found and what was left out.
        location: Where the images were looked for, and
        glob: which names were looked at.
        on_disk: Whether tasks can open the images by their paths.
    """

    labels: DataFrame
    account: Account
    location: str
    glob: str
    on_disk: bool
    _source: DataFrame
    _listed: Listing
    _empty: DataFrame | None
    _needed: Sequence[str] | None
    _numbers: NDArray[np.int64]
    _used: NDArray[np.bool_]

    @property
    def listing(self) -> DataFrame:
        """Every image file found, used or not, as Spark lists it.

        Returns:
            ``path``, ``modificationTime``, ``length``, ``id`` and ``file_path`` (the name
            URL-encoded).
        """
        scanned = scan(self._source)
        return scanned if self._empty is None else scanned.unionByName(self._empty)

    @property
    def frame(self) -> DataFrame:
        """The labelled images with their content.

        Returns:
            ``path``, ``modificationTime``, ``length``, ``content``, ``id`` (int) and
            ``label`` (double, 0.0 or 1.0); the files are read when it is used, each
            time it is used.
        """
        columns = [PATH, MODIFICATION_TIME, LENGTH, CONTENT, ID, LABEL]
        return (
            self._read(self._needed, count=self.account.used)
            .join(F.broadcast(self.labels), ID)
            .select(*columns)
        )

    @property
    def undecoded(self) -> DataFrame:
        """The same for ``to_pixels``: of images that tasks can open, ``path`` in place of content.

        Image bytes that Spark reads cross from Java to Python, which takes as long as
        decoding them does.
        """
        files = self.files(self._needed, count=self.account.used)
        return files.join(F.broadcast(self.labels), ID)

    @property
    def undecoded_files(self) -> DataFrame:
        """The rows of ``undecoded`` without their labels: no join where every image has one."""
        files = self.files(self._needed, count=self.account.used)
        if self._needed is not None or self.account.used == self.account.images:
            return files
        return files.join(F.broadcast(self.labels.select(ID)), ID, "left_semi")

    def files(self, names: Sequence[str] | None, *, count: int) -> DataFrame:
        """Give some of the files, labelled or not, to be decoded.

        Args:
            names: Their ``file_path``, or None for all.
            count: How many files that is.

        Returns:
            ``path`` and ``id``; where tasks cannot open the images, ``modificationTime``,
            ``length`` and ``content`` as well. Nothing is read before it is used.
        """
        if self.on_disk:
            return locate_files(self._source, self._listed, names, count=count)
        return self._read(names, count=count)

    def states(self) -> Iterator[FileState]:
        """Look at every file, used or not, from the driver: without a query if they are on disk."""
        if self.on_disk:
            names = (name for chunk in self._listed.chunks() for name in chunk)
            for name, used in zip(names, self._used.tolist(), strict=True):
                path = unquote(name)
                yield FileState(name, path, *state_on_disk(path), used)
        else:
            used_ids = set(self._numbers[self._used].tolist())
            time = F.unix_micros(MODIFICATION_TIME)
            listed = self.listing.select(FILE_PATH, PATH, LENGTH, time, ID)
            for name, path, length, at, number in listed.collect():
                yield FileState(name, path, length, at, number in used_ids)

    def _read(self, names: Sequence[str] | None, *, count: int) -> DataFrame:
        found = read_contents(self._source, names, count=count)
        if self._empty is None:
            return found
        # Empty files go on too: they end where all bad files end, in the quarantine.
        empty = self._empty
        if names is not None:
            empty = empty.where(F.col(FILE_PATH).isin(list(names)))
        empty = empty.drop(FILE_PATH).withColumn(CONTENT, F.lit(bytearray()))
        return found.unionByName(empty)


def load_dataset(
    spark: SparkSession,
    images: str,
    labels: str,
    *,
    labels_sha256: str = "",
    glob: str = "*.png",
    limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """List the images, join them with their labels, and read only the labelled ones.

    Args:
        spark: Session that loads them.
        images: Folder, glob or URI, sub-folders included.
        labels: CSV file; path, URI or http(s) URL.
        labels_sha256: What its SHA-256 must be; empty for any.
        glob: Pattern of the base names.
        limit: Use at most so many images, at least 2: of each label as large a part
            as it has in the whole, chosen by a hash of seed and id.
        seed: Chooses other images for the limit.

    Returns:
        The images and the account. What was left out is logged as well.

    Raises:
        ConfigError: The limit is below 2.
        LabelsError: The labels cannot be used.
        ImagesError: The images cannot be used.
        DataError: No image has a label.
    """
    if limit is not None and limit < 2:
        raise ConfigError(f"data.limit is {limit}: give at least 2, one image of each label")
    label_of = label_of_each(spark, labels, sha256=labels_sha256)
    source = open_images(spark, images, glob=glob)
    listed = Listing(source)
    numbers = listed.numbers()
    require_usable(listed, numbers, images, glob=glob)
    labelled = LabelledFiles(numbers, label_of)
    account = labelled.account(listed, limit)
    if account.used == 0:
        raise DataError(
            f"no image has a label: {account.images} images in {images}, {account.labels} "
            f"labels in {labels}, {account.undefined_label} of them undefined for these "
            "images. The last number of a file name must be the index of a label"
        )
    chosen, used = labels_frame(spark, labelled.label_of), labelled.defined
    if account.beyond_limit:
        chosen = chosen.where(choose_below_limit(chosen, labelled.sizes, account.used, seed))
        used = np.isin(numbers, [row[ID] for row in chosen.select(ID).collect()])
    needed: list[str] | None = None
    if are_named(account.used, of=account.images):
        needed = list(listed.where(used))
    empty = empty_files(source, listed)
    log_account(account)
    on_disk = is_on_disk(spark, images)
    if on_disk and not images.startswith("file:") and not is_local(spark.sparkContext):
        logger.warning(
            "data.images is %s, a path on this machine's disk: every executor must find the same "
            "files there. Where all share that disk, say so with file:; else name a place that "
            "all of them reach, such as hdfs:///faces",
            images,
        )
    return Dataset(
        labels=chosen,
        account=account,
        location=images,
        glob=glob,
        on_disk=on_disk,
        _source=source,
        _listed=listed,
        _empty=empty,
        _needed=needed,
        _numbers=numbers,
        _used=used,
    )
