"""Unlabelled images: decoded for prediction."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from glasses_spark.config.config import Config
from glasses_spark.errors import ImagesError
from glasses_spark.loading.disk_files import disk_path, is_utf8
from glasses_spark.printable import printable
from glasses_spark.runtime.location import data_path, is_on_disk

# Modules that import pyspark are imported in the functions: an external Spark, named by
# SPARK_HOME, has its own pyspark, which is found when the session is built.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from glasses_spark.loading.listing import Listing
    from glasses_spark.loading.unlisted import UnlistedFile
    from glasses_spark.preprocessing.quarantine import QuarantinedImage

logger = logging.getLogger(__name__)

_EXAMPLES: Final = 3


def decode_unlabelled(spark: SparkSession, locations: list[str], config: Config) -> DataFrame:
    """Decode images for prediction; their names need no numbers.

    Args:
        spark: Running session.
        locations: Files, folders, globs or URIs.
        config: Size of the images and pattern of the file names in folders.

    Returns:
        ``path``, ``id`` (null), ``label`` (null) and ``pixels`` of the images that can be
        decoded, persisted. The log names the others, and accounts for every file.

    Raises:
        ImagesError: No image can be decoded, or a location does not exist.
    """
    from functools import reduce

    from pyspark.sql import DataFrame

    from glasses_spark.pipeline.pixels import unlisted_images
    from glasses_spark.preprocessing.pixels import to_pixels
    from glasses_spark.preprocessing.quarantine import (
        count_images,
        describe_reasons,
        quarantine_images,
    )
    from glasses_spark.runtime.persist import persist

    files = [location for location in locations if Path(location).is_file()]
    found = [_find(spark, place, config.data.glob) for place in locations if place not in files]
    if files:
        found.append(_find_files(spark, files))
    unlisted = [file for _, files in found for file in unlisted_images(files)]
    frames = [frame for frame, _ in found if frame is not None]
    if not frames:
        raise _none_listed(locations, unlisted)
    image = config.image
    # Files on disk are opened by the tasks; Spark reads the contents of all others.
    decoded = [to_pixels(frame, height=image.height, width=image.width) for frame in frames]
    pixels = persist(reduce(DataFrame.unionByName, decoded))
    counts = count_images(pixels)
    # Images that cannot be decoded are named in the log; the others are predicted.
    result = quarantine_images(pixels, max_bad_fraction=1.0, counts=counts, others=unlisted)
    total, quarantined = counts.images + len(unlisted), len(result.quarantine)
    reasons = f" ({describe_reasons(result.quarantine)})" if quarantined else ""
    logger.info(
        "Account of %d files: %d predicted, %d quarantined%s",
        total,
        total - quarantined,
        quarantined,
        reasons,
    )
    return result.good


_Found: TypeAlias = "tuple[DataFrame | None, tuple[UnlistedFile, ...]]"


def _find(spark: SparkSession, location: str, glob: str) -> _Found:
    """Return the files of a folder for ``to_pixels``, and those that Spark does not list."""
    from glasses_spark.loading.connect_listing import list_files
    from glasses_spark.loading.images import open_images
    from glasses_spark.loading.unlisted import find_unlisted

    since = time.time()
    images = open_images(spark, location, glob=glob)
    listing = list_files(images)
    unlisted = find_unlisted(spark, listing, location, glob=glob, since=since)
    return _undecoded(images, listing, on_disk=is_on_disk(spark, location)), unlisted


def _find_files(spark: SparkSession, files: list[str]) -> _Found:
    """Return single files for ``to_pixels``, and those that Spark does not list."""
    from glasses_spark.loading.connect_listing import list_files
    from glasses_spark.loading.unlisted import missing_from, unlisted_file

    paths = [disk_path(file) for file in files]
    listed = [file for file in files if is_utf8(disk_path(file))]
    if not listed:
        return None, tuple(map(unlisted_file, paths))
    images = spark.read.format("binaryFile").load([data_path(spark, file) for file in listed])
    listing = list_files(images)
    # The user names them, so none of them is newer.
    unlisted = missing_from(listing, iter(paths), since=math.inf)
    return _undecoded(images, listing, on_disk=is_on_disk(spark, listed[0])), unlisted


def _undecoded(images: DataFrame, listing: Listing, *, on_disk: bool) -> DataFrame | None:
    from pyspark.sql import functions as F

    from glasses_spark.columns import CONTENT, ID, LABEL, PATH
    from glasses_spark.loading.images import locate_files, read_contents, scan_empty_files

    if not len(listing):
        return None
    contents = [] if on_disk else [CONTENT]
    if on_disk:
        files = locate_files(images, listing, None, count=len(listing))
    else:
        files = read_contents(images, None, count=len(listing)).select(PATH, CONTENT)
        empty = scan_empty_files(images, listing)
        if empty is not None:
            files = files.unionByName(empty.select(PATH, F.lit(bytearray()).alias(CONTENT)))
    return files.select(
        PATH,
        F.lit(None).cast("int").alias(ID),
        F.lit(None).cast("double").alias(LABEL),
        *contents,
    )


def _none_listed(locations: list[str], unlisted: list[QuarantinedImage]) -> ImagesError:
    names = ", ".join(map(printable, locations))
    if unlisted:
        examples = "; ".join(map(str, unlisted[:_EXAMPLES]))
        return ImagesError(f"{names}: none of the {len(unlisted)} images can be used: {examples}")
    return ImagesError(
        f"{names}: no image file found. Give PNG files, or folders that have some, or set "
        "data.glob to a pattern of your file names (case-sensitive)"
    )
