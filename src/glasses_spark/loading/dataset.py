"""Dataset: images joined with their labels, and counts of what was left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import CONTENT, FILE_PATH, ID, LABEL, LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.config.data import DataConfig
from glasses_spark.errors import DataError
from glasses_spark.loading.account import Account, log_account
from glasses_spark.loading.connect_listing import list_files
from glasses_spark.loading.images import (
    check_listing,
    is_cheaper_by_name,
    locate_files,
    open_images,
    read_contents,
    scan,
    scan_empty_files,
)
from glasses_spark.loading.labelled import LabelledFiles
from glasses_spark.loading.labels import labels_frame, load_labels
from glasses_spark.loading.limit import limit_condition
from glasses_spark.loading.listing import Listing, base_name, number_in
from glasses_spark.loading.unlisted import UnlistedFile, find_unlisted, require_some_listed
from glasses_spark.runtime.connect import runs_locally
from glasses_spark.runtime.location import is_on_disk

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """Labelled images whose files are not read yet.

    Attributes:
        labels: ``id`` (int) and ``label`` (double, 0.0 or 1.0) of the used images.
        account: Counts of the used images and of those left out.
        location: Location of the images, as the user gave it.
        glob: Pattern of their base names.
        on_disk: Whether tasks can open the images by their paths.
        unlisted: Files that the driver sees, but Spark does not list.
    """

    labels: DataFrame
    account: Account
    location: str
    glob: str
    on_disk: bool
    unlisted: tuple[UnlistedFile, ...]
    _source: DataFrame
    _listing: Listing
    _empty: DataFrame | None
    _needed: Sequence[str] | None

    @property
    def listing(self) -> DataFrame:
        """All image files, used or not.

        Returns:
            ``path``, ``modificationTime``, ``length``, ``id`` and ``file_path``
            (URL-encoded).
        """
        scanned = scan(self._source)
        return scanned if self._empty is None else scanned.unionByName(self._empty)

    @property
    def frame(self) -> DataFrame:
        """The labelled images with their content.

        Returns:
            ``path``, ``modificationTime``, ``length``, ``content``, ``id`` (int) and
            ``label`` (double, 0.0 or 1.0). Each use of the frame reads the files.
        """
        columns = [PATH, MODIFICATION_TIME, LENGTH, CONTENT, ID, LABEL]
        return (
            self._read(self._needed, count=self.account.used)
            .join(F.broadcast(self.labels), ID)
            .select(*columns)
        )

    @property
    def undecoded(self) -> DataFrame:
        """The labelled images for ``to_pixels``: without content if tasks can open the files.

        Image bytes that Spark reads are copied from Java to Python, which takes as long as
        decoding them.
        """
        files = self.files(self._needed, count=self.account.used)
        return files.join(F.broadcast(self.labels), ID)

    @property
    def undecoded_files(self) -> DataFrame:
        """The rows of ``undecoded`` without labels; no join if all images have a label."""
        files = self.files(self._needed, count=self.account.used)
        if self._needed is not None or self.account.used == self.account.images:
            return files
        return files.join(F.broadcast(self.labels.select(ID)), ID, "left_semi")

    def files(self, names: Sequence[str] | None, *, count: int) -> DataFrame:
        """Return files, labelled or not, for decoding. Nothing is read before it is used.

        Args:
            names: ``file_path`` of the files, or None for all.
            count: Number of these files.

        Returns:
            ``path`` and ``id``; if tasks cannot open the images, also
            ``modificationTime``, ``length`` and ``content``.
        """
        if self.on_disk:
            return locate_files(self._source, self._listing, names, count=count)
        return self._read(names, count=count)

    def names_of(self, ids: Sequence[int]) -> dict[int | None, str]:
        """Return the path of each id among the listed files, as Spark writes it."""
        wanted = np.isin(self._listing.ids(), list(ids))
        names = self._listing.select(wanted)
        return {number_in(base_name(name)): unquote(name) for name in names}

    def _read(self, names: Sequence[str] | None, *, count: int) -> DataFrame:
        contents = read_contents(self._source, names, count=count)
        if self._empty is None:
            return contents
        # Empty files are decoded like others, and quarantined.
        empty = self._empty
        if names is not None:
            empty = empty.where(F.col(FILE_PATH).isin(list(names)))
        empty = empty.drop(FILE_PATH).withColumn(CONTENT, F.lit(bytearray()))
        return contents.unionByName(empty)


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
    """List the images and join them with their labels; only labelled images are read.

    Args:
        spark: Session that loads them.
        images: Folder, glob or URI; subfolders are included.
        labels: CSV file; path, URI or http(s) URL.
        labels_sha256: Expected SHA-256 of the labels file; empty to accept any file.
        glob: Pattern of the base names.
        limit: Largest number of images to use, at least 2; each label keeps its share.
            The choice depends on a hash of seed and id. None or 0 uses all.
        seed: Seed of that choice.

    Returns:
        The images and the counts, which are also logged.

    Raises:
        ConfigError: The limit is 1 or negative.
        LabelsError: The labels cannot be used.
        ImagesError: The images cannot be used.
        DataError: No image has a label.
    """
    limit = DataConfig(limit=limit or 0).limit or None  # checked by the section
    label_of = load_labels(spark, labels, sha256=labels_sha256)
    since = time.time()
    source = open_images(spark, images, glob=glob)
    listing = list_files(source)
    unlisted = find_unlisted(spark, listing, images, glob=glob, since=since)
    require_some_listed(listing, unlisted, images)
    ids = listing.ids()
    check_listing(listing, ids, images, glob=glob)
    labelled = LabelledFiles(ids, label_of)
    account = labelled.account(listing, limit, unlisted=len(unlisted))
    _require_labelled(account, images, labels)
    chosen, used = labels_frame(spark, labelled.label_of), labelled.defined
    if account.beyond_limit:
        chosen = chosen.where(limit_condition(chosen, labelled.sizes, account.used, seed))
        used = np.isin(ids, [row[ID] for row in chosen.select(ID).collect()])
    by_name = is_cheaper_by_name(account.used, of=account.images)
    needed = list(listing.select(used)) if by_name else None
    empty = scan_empty_files(source, listing)
    log_account(account)
    on_disk = is_on_disk(spark, images)
    if on_disk:
        _warn_if_not_shared(spark, images)
    return Dataset(
        labels=chosen,
        account=account,
        location=images,
        glob=glob,
        on_disk=on_disk,
        unlisted=unlisted,
        _source=source,
        _listing=listing,
        _empty=empty,
        _needed=needed,
    )


def _require_labelled(account: Account, images: str, labels: str) -> None:
    if account.used == 0:
        raise DataError(
            f"no image has a label: found {account.images} images in {images} and "
            f"{account.labels} labels in {labels}, {account.undefined_label} of them undefined "
            "for these images. The last number of a file name must be the index of a label"
        )


def _warn_if_not_shared(spark: SparkSession, images: str) -> None:
    if not images.startswith("file:") and not runs_locally(spark):
        logger.warning(
            "data.images is %s, a path on this machine's disk. Every executor must find the same "
            "files there. If all machines share that disk, begin the path with file:, else use a "
            "location that all of them reach, such as hdfs:///faces",
            images,
        )
