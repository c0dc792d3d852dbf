"""Dataset: images joined with their labels, and an account of every row left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from typing import Final, NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import CONTENT, ID, LABEL, LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.executors import is_local
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
from glasses_spark.loading.labels import label_of_each, labels_frame
from glasses_spark.loading.listing import UNNUMBERED, Listing, base_name
from glasses_spark.loading.location import is_on_disk, state_on_disk

logger = logging.getLogger(__name__)

_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Account:
    """How many rows went where; ``images`` is the sum of the other counts of images.

    Attributes:
        images: Image files found.
        labels: Rows of the labels file, undefined ones included.
        used: Images that go on.
        undefined_label: Images whose label is empty or ``nan``.
        unlabelled: Images that no row of the labels file is about.
        unnumbered: Those of the unlabelled that have no number in their name, or
            one above an int.
        beyond_limit: Images left out because of ``limit``.
        label_without_image: Rows of the labels file whose image is not there.
        undefined_label_names: A few base names of such images.
        unlabelled_names: A few base names of such images.
        label_without_image_ids: A few numbers of such rows.
    """

    images: int
    labels: int
    used: int
    undefined_label: int
    unlabelled: int
    unnumbered: int
    beyond_limit: int
    label_without_image: int
    undefined_label_names: tuple[str, ...] = ()
    unlabelled_names: tuple[str, ...] = ()
    label_without_image_ids: tuple[int, ...] = ()


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
    labelled = _Labelled(numbers, label_of)
    account = labelled.account(listed, limit)
    if account.used == 0:
        raise DataError(
            f"no image has a label: {account.images} images in {images}, {account.labels} "
            f"labels in {labels}, {account.undefined_label} of them undefined for these "
            "images. The last number of a file name must be the index of a label"
        )
    chosen, used = labels_frame(spark, labelled.label_of), labelled.defined
    if account.beyond_limit:
        chosen = chosen.where(_below_limit(chosen, labelled.sizes, account.used, seed))
        used = np.isin(numbers, [row[ID] for row in chosen.select(ID).collect()])
    needed: list[str] | None = None
    if are_named(account.used, of=account.images):
        needed = list(listed.where(used))
    empty = empty_files(source, listed)
    _log(account)
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


class _Labelled:
    """Files and labels, held against each other by the numbers of the files."""

    def __init__(self, numbers: NDArray[np.int64], label_of: Mapping[int, float | None]) -> None:
        self._numbers, self._labels = numbers, label_of
        self.defined = np.isin(numbers, [n for n, label in label_of.items() if label is not None])
        undefined = [number for number, label in label_of.items() if label is None]
        self._undefined = np.isin(numbers, undefined)
        self._unlabelled = ~self.defined & ~self._undefined

    @cached_property
    def label_of(self) -> dict[int, float]:
        """The label of each image that has a defined one."""
        found = self._numbers[self.defined].tolist()
        return {number: label for number in found if (label := self._labels[number]) is not None}

    @property
    def sizes(self) -> Counter[float]:
        """How many images have each label."""
        return Counter(self.label_of.values())

    def account(self, listed: Listing, limit: int | None) -> Account:
        """Tell what goes where, at most ``limit`` images among what is used."""
        labelled = int(self.defined.sum())
        used = labelled if limit is None else min(limit, labelled)
        numbers = np.fromiter(self._labels, np.int64, len(self._labels))
        without_image = numbers[~np.isin(numbers, self._numbers)]
        return Account(
            images=len(listed),
            labels=len(self._labels),
            used=used,
            undefined_label=int(self._undefined.sum()),
            unlabelled=int(self._unlabelled.sum()),
            unnumbered=int((self._numbers == UNNUMBERED).sum()),
            beyond_limit=labelled - used,
            label_without_image=len(without_image),
            undefined_label_names=_names(listed, self._undefined),
            unlabelled_names=_names(listed, self._unlabelled),
            label_without_image_ids=tuple(nsmallest(_EXAMPLES, without_image.tolist())),
        )


def _names(listed: Listing, mask: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(nsmallest(_EXAMPLES, (base_name(name) for name in listed.where(mask))))


def _below_limit(labels: DataFrame, sizes: Mapping[float, int], limit: int, seed: int) -> Column:
    """Make the condition on ``id`` and ``label`` that leaves ``limit`` images.

    Of each label the images with the smallest hashes stay. Neither the order of the
    files nor the partitions matter.
    """
    # The name keeps this draw apart from the train / test split by the same seed:
    # otherwise a limit would take mostly images of one part.
    mixed = F.xxhash64(F.lit(seed).cast("bigint"), F.lit("limit"), F.col(ID).cast("bigint"))
    condition = F.lit(False)
    for label, quota in _quotas(sizes, limit).items():
        smallest = labels.where(F.col(LABEL) == label).select(mixed.alias("mixed"))
        largest = smallest.orderBy("mixed").limit(quota).agg(F.max("mixed")).collect()[0][0]
        # No two ids have one hash: xxhash64 of eight bytes is a permutation.
        condition = condition | ((F.col(LABEL) == label) & (mixed <= largest))
    return condition


def _quotas(sizes: Mapping[float, int], limit: int) -> dict[float, int]:
    """Share ``limit`` among the labels by their sizes, at least one for each."""
    total = sum(sizes.values())
    quotas = {label: max(1, round(limit * size / total)) for label, size in sizes.items()}
    # What rounding gave too much or too little, the largest label evens out.
    largest = max(sizes, key=lambda label: (sizes[label], label))
    quotas[largest] += limit - sum(quotas.values())
    return quotas


def _log(account: Account) -> None:
    logger.info(
        "%d images, %d labels: %d images used", account.images, account.labels, account.used
    )
    if account.undefined_label:
        logger.info(
            "%d images left out, their label is undefined: %s",
            account.undefined_label,
            _few(account.undefined_label_names, account.undefined_label),
        )
    if account.unlabelled:
        logger.warning(
            "%d images left out, no row of the labels file is about them (%d have no usable "
            "number in their name): %s",
            account.unlabelled,
            account.unnumbered,
            _few(account.unlabelled_names, account.unlabelled),
        )
    if account.label_without_image:
        logger.warning(
            "%d labels have no image, such as index %s",
            account.label_without_image,
            _few(account.label_without_image_ids, account.label_without_image),
        )
    if account.beyond_limit:
        logger.info("%d images left out by data.limit", account.beyond_limit)


def _few(examples: tuple[object, ...], count: int) -> str:
    more = ", ..." if count > len(examples) else ""
    return ", ".join(str(example) for example in examples) + more
