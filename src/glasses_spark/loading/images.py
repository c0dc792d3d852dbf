"""Images: which files there are, and the content of those that are needed."""

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

from glasses_spark.columns import CONTENT, ID, LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.errors import ImagesError
from glasses_spark.loading.empty_files import FILE_PATH, find_empty_files
from glasses_spark.loading.listing import LISTED_LOCAL, UNNUMBERED, Listing, base_name
from glasses_spark.runtime.location import spark_path

# Spark plans 24 to 31 small files a task, because it charges 4 MB for opening each.
# Starting a task then costs as much as its work. 128 faces of the Kaggle set take
# a task a few seconds and, streamed in small batches, no memory to speak of.
IMAGES_PER_TASK: Final = 128

# Enough to even out slow tasks where there are few images, of which Spark makes tasks of
# very different sizes.
TASKS_PER_SLOT: Final = 4

# Where all tasks have as many. Each costs 0.05 s in which its slot does not decode.
EVEN_TASKS_PER_SLOT: Final = 2

# Naming one file in a query costs the driver 0.3 ms; reading one face that is not
# needed costs the executors 1.2 MB. Beyond this many names the query itself grows
# unwieldy, and the whole folder is read instead.
MAX_NAMED_FILES: Final = 10_000

# Where nearly every file is needed, reading all is cheaper than choosing.
NEARLY_ALL: Final = 0.9

# Spark's own URL-encoded name of the file, known before the file is opened: a
# condition on it keeps the scan from opening the others. (`path` is not: it is
# compared after the content was read. Giving Spark the paths one by one is worse
# still: it lists each with a task of its own, 17 s for 5,000 local files.)
_METADATA: Final = "_metadata.file_path"

_EXAMPLES: Final = 3


def list_images(spark: SparkSession, location: str, *, glob: str = "*.png") -> DataFrame:
    """List image files without reading their content.

    Args:
        spark: Session that lists the files.
        location: Folder, glob or URI; folders are searched with their sub-folders.
            Spark skips names that begin with ``.`` or ``_``.
        glob: Pattern that the base name must match; case matters.

    Returns:
        One row a file: ``path`` (as Spark writes it, not URL-encoded),
        ``modificationTime`` (null for an empty file), ``length`` (bytes) and ``id``
        (int, the last number in the base name; null where there is none or it exceeds
        an int).

    Raises:
        ImagesError: There is no such folder, nothing in it matches, two files have
            one number, or a name has a colon, which Hadoop cannot open.
    """
    images = open_images(spark, location, glob=glob)
    listed = Listing(images)
    require_usable(listed, listed.numbers(), location, glob=glob)
    scanned, empty = scan(images), empty_files(images, listed)
    listing = scanned if empty is None else scanned.unionByName(empty)
    return listing.select(PATH, MODIFICATION_TIME, LENGTH, ID)


def open_images(spark: SparkSession, location: str, *, glob: str = "*.png") -> DataFrame:
    """Find image files: the names are listed here and now, and once.

    Args:
        spark: Session that lists the files.
        location: As for ``list_images``.
        glob: As for ``list_images``.

    Returns:
        Spark's ``binaryFile`` columns ``path``, ``modificationTime``, ``length`` and
        ``content``; selecting the last reads the files. Empty files are not among
        them (see ``find_empty_files``).

    Raises:
        ImagesError: There is no such folder or file.
    """
    if not location:
        raise ImagesError("no images given: set data.images to a folder, glob or URI")
    reader = (
        spark.read.format("binaryFile")
        .option("pathGlobFilter", glob)
        # Also keeps Spark from making a column of a folder named `label=1`.
        .option("recursiveFileLookup", "true")
    )
    try:
        return reader.load(spark_path(location))
    except (PySparkException, Py4JJavaError) as error:
        if isinstance(error, PySparkException) and error.getCondition() == "PATH_NOT_FOUND":
            raise ImagesError(
                f"{location}: no such folder. Give the folder, glob or URI of the images as "
                "data.images"
            ) from error
        reason = str(getattr(error, "java_exception", error)).strip().splitlines()[0]
        raise ImagesError(
            f"{location}: cannot be listed ({reason}). Check the address and the right to read it"
        ) from error


def scan(images: DataFrame) -> DataFrame:
    """Leave the content of the files unread and add the numbers in their names.

    Args:
        images: As ``open_images`` returns it.

    Returns:
        The columns of ``list_images`` and ``file_path``, by which ``read_contents``
        chooses; without empty files, which Spark hides.
    """
    slots = images.sparkSession.sparkContext.defaultParallelism
    return images.select(
        PATH, MODIFICATION_TIME, LENGTH, _id_of(F.col(PATH)), F.col(_METADATA).alias(FILE_PATH)
    ).coalesce(TASKS_PER_SLOT * slots)


def numbered(empty: DataFrame) -> DataFrame:
    """Give empty files the columns of ``scan``.

    Args:
        empty: ``path`` and ``file_path``.

    Returns:
        The same files with a length of 0 and no time, which Spark does not tell.
    """
    return empty.select(
        PATH,
        F.lit(None).cast("timestamp").alias(MODIFICATION_TIME),
        F.lit(0).cast("bigint").alias(LENGTH),
        _id_of(F.col(PATH)),
        FILE_PATH,
    )


def empty_files(images: DataFrame, listed: Listing) -> DataFrame | None:
    """The columns of ``scan`` for the empty files, which Spark hides; None where there are none.

    Args:
        images: As ``open_images`` returns it.
        listed: What Spark has listed for it.
    """
    return numbered(find_empty_files(scan(images), listed)) if listed.hidden else None


def require_usable(
    listed: Listing, numbers: NDArray[np.int64], location: str, *, glob: str
) -> None:
    """Refuse a listing that is empty or ambiguous.

    Args:
        listed: The files.
        numbers: In their names.
        location: Where they were looked for, for the message.
        glob: What their names had to match, for the message.

    Raises:
        ImagesError: As for ``list_images``.
    """
    if not len(listed):
        raise ImagesError(
            f"{location}: no file matches {glob!r} there or in its sub-folders. Check data.images, "
            "or set data.glob to the names of your files (case matters)"
        )
    # The local file system of Hadoop lists such a name, and fails when it opens it.
    colon = next((n for names in listed.chunks() for n in names if ":" in base_name(n)), None)
    if colon:
        raise ImagesError(f"{unquote(colon)}: Spark cannot open a name with a colon. Rename it")
    found, counts = np.unique(numbers[numbers != UNNUMBERED], return_counts=True)
    repeated = found[counts > 1][:_EXAMPLES]
    if len(repeated):
        raise ImagesError(
            f"{location}: two files have one number, so that their label is unclear: "
            f"{_repeated(listed, numbers, repeated)}. Rename one of each, or narrow data.images or "
            "data.glob"
        )


def read_contents(images: DataFrame, needed: Sequence[str] | None, *, count: int) -> DataFrame:
    """Read the content of the files that are needed.

    Nothing is read before the result is used. The number of tasks follows the
    number of images: about ``IMAGES_PER_TASK`` in each, at least ``TASKS_PER_SLOT``
    for each task slot, and never more than Spark's own plan has.

    Args:
        images: As ``open_images`` returns it.
        needed: ``file_path`` of the files, or None for all.
        count: How many files that is.

    Returns:
        ``path``, ``modificationTime``, ``length``, ``content`` and ``id``.
    """
    slots = images.sparkSession.sparkContext.defaultParallelism
    tasks = max(TASKS_PER_SLOT * slots, -(-count // IMAGES_PER_TASK))
    chosen = images if needed is None else images.where(F.col(_METADATA).isin(list(needed)))
    # coalesce joins tasks where they are planned; repartition would send the image
    # bytes over the network.
    columns = [PATH, MODIFICATION_TIME, LENGTH, CONTENT]
    return chosen.select(*columns, _id_of(F.col(PATH))).coalesce(tasks)


def locate_files(
    images: DataFrame, listed: Listing, names: Sequence[str] | None, *, count: int
) -> DataFrame:
    """Give the files that tasks are to open themselves, as many to each task.

    At most ``IMAGES_PER_TASK``, and each task slot has the same number of tasks, at least
    ``EVEN_TASKS_PER_SLOT``; but no task is without a file.

    Args:
        images: As ``open_images`` returns it.
        listed: What Spark has listed for it.
        names: ``file_path`` of the files, or None for all; empty ones may be among them.
        count: How many files that is.

    Returns:
        ``path`` and ``id``.
    """
    slots = images.sparkSession.sparkContext.defaultParallelism
    rounds = max(EVEN_TASKS_PER_SLOT, -(-count // (IMAGES_PER_TASK * slots)))
    # One new file must not start a Python worker on each core of a cluster.
    files = listed.frame(names, tasks=min(rounds * slots, count))
    return files.select(_path_of(F.col("value")).alias(PATH)).select(PATH, _id_of(F.col(PATH)))


def are_named(count: int, *, of: int) -> bool:
    """Decide how to read a choice of files: by their names, or with all others.

    Args:
        count: How many files are needed.
        of: How many there are in all.

    Returns:
        False where it is cheaper to read all files and drop what is not needed: nearly
        all are needed, or more than ``MAX_NAMED_FILES``.
    """
    return count < NEARLY_ALL * of and count <= MAX_NAMED_FILES


def _repeated(listed: Listing, numbers: NDArray[np.int64], repeated: NDArray[np.int64]) -> str:
    examples = []
    for number in repeated:
        paths = sorted(unquote(name) for name in listed.where(numbers == number))
        examples.append(f"{paths[0]} and {paths[-1]} ({number})")
    return "; ".join(examples)


def _path_of(name: Column) -> Column:
    """Undo the encoding of a name, as it is listed or as scans tell it."""
    # A plus stands for itself in a path, and for a space in the forms that this is made for.
    plain = F.url_decode(F.replace(name, F.lit("+"), F.lit("%2B")))
    return F.regexp_replace(plain, LISTED_LOCAL.pattern, "$1:/")


def _id_of(path: Column) -> Column:
    """Take the last number of the base name; the extension may hold another (``.jp2``)."""
    stem = F.regexp_replace(_name_of(path), r"\.[A-Za-z][A-Za-z0-9]*$", "")
    digits = F.regexp_extract(stem, r"([0-9]+)[^0-9]*$", 1)
    # No digits give "", too many a number above an int: both become null.
    return digits.try_cast("int").alias(ID)


def _name_of(path: Column) -> Column:
    return F.substring_index(path, "/", -1)
