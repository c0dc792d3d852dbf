"""Listing of image files, and reading of their content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import CONTENT, FILE_PATH, ID, LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.errors import ImagesError
from glasses_spark.loading.connect_listing import list_files
from glasses_spark.loading.disk_files import is_utf8
from glasses_spark.loading.empty_files import find_empty_files
from glasses_spark.loading.listing import (
    EXTENSION,
    LISTED_LOCAL,
    NUMBER,
    UNNUMBERED,
    Listing,
    base_name,
)
from glasses_spark.printable import printable
from glasses_spark.runtime.connect import default_parallelism, is_connect
from glasses_spark.runtime.hadoop import reason_of
from glasses_spark.runtime.location import data_path, is_on_disk, local_path

# Spark plans 24 to 31 small files per task, because it charges 4 MB for opening each.
# Starting a task then costs as much as its work. 128 images of the Kaggle set take a
# task a few seconds and, streamed in small batches, little memory.
IMAGES_PER_TASK: Final = 128

# Enough to even out slow tasks if there are few images, which Spark divides into tasks of
# very different sizes.
TASKS_PER_SLOT: Final = 4

# For tasks with equally many images. Each costs 0.05 s in which its slot does not decode.
EVEN_TASKS_PER_SLOT: Final = 2

# Naming one file in a query costs the driver 0.3 ms; reading one unneeded image costs the
# executors 1.2 MB. With more names than this the query becomes too large, and the whole
# folder is read instead.
MAX_NAMED_FILES: Final = 10_000

# If more than this fraction of the files is needed, reading all is cheaper than choosing.
NEARLY_ALL: Final = 0.9

# Spark's URL-encoded name of a file, known before the file is opened: a condition on it
# keeps a scan from opening the other files. (A condition on `path` is evaluated after the
# content is read. Giving Spark each path separately is slower still: it lists each in a
# task of its own, 17 s for 5,000 local files.)
_METADATA: Final = "_metadata.file_path"

_EXAMPLES: Final = 3


def list_images(spark: SparkSession, location: str, *, glob: str = "*.png") -> DataFrame:
    """List image files without reading their content.

    Args:
        spark: Session that lists the files.
        location: Folder, glob or URI; subfolders are included. Spark skips names that
            begin with ``.`` or ``_``.
        glob: Pattern that the base name must match, case-sensitive.

    Returns:
        One row per file: ``path`` (as Spark writes it, not URL-encoded),
        ``modificationTime`` (null for an empty file), ``length`` (bytes) and ``id``
        (int, the last number in the base name; null without one or above ``MAX_ID``).

    Raises:
        ImagesError: The folder does not exist, no name matches, two files have the same
            number, or a name contains a colon, which Hadoop cannot open.
    """
    images = open_images(spark, location, glob=glob)
    listing = list_files(images)
    check_listing(listing, listing.ids(), location, glob=glob)
    scanned, empty = scan(images), scan_empty_files(images, listing)
    files = scanned if empty is None else scanned.unionByName(empty)
    return files.select(PATH, MODIFICATION_TIME, LENGTH, ID)


def open_images(spark: SparkSession, location: str, *, glob: str = "*.png") -> DataFrame:
    """List the names of image files once, and return them as a frame.

    Args:
        spark: Session that lists the files.
        location: As for ``list_images``.
        glob: As for ``list_images``.

    Returns:
        Spark's ``binaryFile`` columns ``path``, ``modificationTime``, ``length`` and
        ``content``; selecting ``content`` reads the files. Empty files are missing (see
        ``find_empty_files``).

    Raises:
        ImagesError: The folder or file does not exist or cannot be listed.
    """
    if not location:
        raise ImagesError("no images given. Set data.images to a folder, glob or URI")
    if not is_utf8(location):
        raise ImagesError(
            f"{printable(location)}: the name is not valid UTF-8, so Spark cannot open it. "
            "Rename it"
        )
    reader = (
        spark.read.format("binaryFile")
        .option("pathGlobFilter", glob)
        # Also keeps Spark from making a column of a folder named `label=1`.
        .option("recursiveFileLookup", "true")
    )
    try:
        images = reader.load(data_path(spark, location))
        _ = images.schema  # Spark Connect looks for the files now
        return images
    except (PySparkException, Py4JJavaError) as error:
        if isinstance(error, PySparkException) and error.getCondition() == "PATH_NOT_FOUND":
            if _is_hidden_from_java(spark, location):
                raise ImagesError(
                    f"{location}: exists, but Spark's JVM cannot open it: the encoding of its file "
                    "names cannot represent the name. Start the JVM with LC_ALL=C.UTF-8"
                ) from error
            raise ImagesError(
                f"{location}: no such folder. Give the folder, glob or URI of the images as "
                "data.images"
            ) from error
        raise ImagesError(
            f"{location}: cannot be listed ({reason_of(error)}). Check the address and your "
            "permission to read it"
        ) from error


def scan(images: DataFrame) -> DataFrame:
    """Drop the content of the files, unread, and add the ids from their names.

    Args:
        images: Frame from ``open_images``.

    Returns:
        The columns of ``list_images`` and ``file_path``; without empty files, which Spark
        hides.
    """
    slots = default_parallelism(images.sparkSession)
    return images.select(
        PATH, MODIFICATION_TIME, LENGTH, _id_of(F.col(PATH)), F.col(_METADATA).alias(FILE_PATH)
    ).coalesce(TASKS_PER_SLOT * slots)


def scan_empty_files(images: DataFrame, listing: Listing) -> DataFrame | None:
    """Return the empty files, which Spark hides.

    Args:
        images: Frame from ``open_images``.
        listing: Its listing.

    Returns:
        The columns of ``scan``, with a length of 0 and a null time, which Spark does not
        report; None if there are no empty files.
    """
    if not listing.hidden:
        return None
    return find_empty_files(scan(images), listing).select(
        PATH,
        F.lit(None).cast("timestamp").alias(MODIFICATION_TIME),
        F.lit(0).cast("bigint").alias(LENGTH),
        _id_of(F.col(PATH)),
        FILE_PATH,
    )


def check_listing(listing: Listing, ids: NDArray[np.int64], location: str, *, glob: str) -> None:
    """Check that a listing is neither empty nor ambiguous.

    Args:
        listing: The files.
        ids: Their ids, from ``Listing.ids``.
        location: Where the files are, for error messages.
        glob: Pattern of their names, for error messages.

    Raises:
        ImagesError: As for ``list_images``.
    """
    if not len(listing):
        raise ImagesError(
            f"{location}: no file matches {glob!r} in this folder or its subfolders. Check "
            "data.images, or set data.glob to a pattern of your file names (case-sensitive)"
        )
    # Hadoop's local file system lists such a name, but fails to open it.
    colon = next((n for names in listing.chunks() for n in names if ":" in base_name(n)), None)
    if colon:
        raise ImagesError(
            f"{printable(unquote(colon))}: Spark cannot open a name that contains a colon. Rename "
            "the file"
        )
    distinct, counts = np.unique(ids[ids != UNNUMBERED], return_counts=True)
    repeated = distinct[counts > 1][:_EXAMPLES]
    if len(repeated):
        raise ImagesError(
            f"{location}: two files have the same number, so their label is ambiguous: "
            f"{_format_repeated(listing, ids, repeated)}. Rename one of each pair, or restrict "
            "data.images or data.glob"
        )


def read_contents(images: DataFrame, needed: Sequence[str] | None, *, count: int) -> DataFrame:
    """Read the content of the needed files when the result is used.

    The number of tasks follows the number of images: about ``IMAGES_PER_TASK`` per task,
    at least ``TASKS_PER_SLOT`` tasks per slot, and at most as many as Spark's own plan has.

    Args:
        images: Frame from ``open_images``.
        needed: ``file_path`` of the files, or None for all.
        count: Number of needed files.

    Returns:
        ``path``, ``modificationTime``, ``length``, ``content`` and ``id``.
    """
    slots = default_parallelism(images.sparkSession)
    tasks = max(TASKS_PER_SLOT * slots, -(-count // IMAGES_PER_TASK))
    chosen = images if needed is None else images.where(F.col(_METADATA).isin(list(needed)))
    # coalesce merges partitions in the plan; repartition would send the image bytes over
    # the network.
    columns = [PATH, MODIFICATION_TIME, LENGTH, CONTENT]
    return chosen.select(*columns, _id_of(F.col(PATH))).coalesce(tasks)


def locate_files(
    images: DataFrame, listing: Listing, names: Sequence[str] | None, *, count: int
) -> DataFrame:
    """Return the paths of files that the tasks open themselves, equally many per task.

    A task has at most ``IMAGES_PER_TASK`` files and at least one; each slot has the same
    number of tasks, at least ``EVEN_TASKS_PER_SLOT`` if there are enough files.

    Args:
        images: Frame from ``open_images``.
        listing: Its listing.
        names: ``file_path`` of the files, empty ones included, or None for all.
        count: Number of these files.

    Returns:
        ``path`` and ``id``.
    """
    slots = default_parallelism(images.sparkSession)
    rounds = max(EVEN_TASKS_PER_SLOT, -(-count // (IMAGES_PER_TASK * slots)))
    # One new file must not start a Python worker on every core of a cluster.
    files = listing.to_frame(names, tasks=min(rounds * slots, count))
    return files.select(_path_of(F.col("value")).alias(PATH)).select(PATH, _id_of(F.col(PATH)))


def is_cheaper_by_name(count: int, *, of: int) -> bool:
    """Return whether reading some files by their names is cheaper than reading all files.

    Args:
        count: Number of needed files.
        of: Number of all files.
    """
    return count < NEARLY_ALL * of and count <= MAX_NAMED_FILES


def _is_hidden_from_java(spark: SparkSession, location: str) -> bool:
    """Return whether the driver finds a location that Java does not."""
    if is_connect(spark) or local_path(location) is None:
        return False
    return is_on_disk(spark, location)


def _format_repeated(listing: Listing, ids: NDArray[np.int64], repeated: NDArray[np.int64]) -> str:
    examples = []
    for number in repeated:
        paths = sorted(printable(unquote(name)) for name in listing.select(ids == number))
        examples.append(f"{paths[0]} and {paths[-1]} ({number})")
    return "; ".join(examples)


def _path_of(name: Column) -> Column:
    """Decode a URL-encoded name, as in the listing or as in scans, to a path."""
    # url_decode is made for web forms, in which a plus means a space; in a path it does not.
    plain = F.url_decode(F.replace(name, F.lit("+"), F.lit("%2B")))
    return F.regexp_replace(plain, LISTED_LOCAL.pattern, "$1:/")


def _id_of(path: Column) -> Column:
    """Extract the last number of the base name; the extension may hold another (``.jp2``)."""
    name = F.substring_index(path, "/", -1)
    stem = F.regexp_replace(name, EXTENSION.pattern, "")
    digits = F.regexp_extract(stem, NUMBER.pattern, 1)
    # Without digits "", with too many a number above an int: both become null.
    return digits.try_cast("int").alias(ID)
