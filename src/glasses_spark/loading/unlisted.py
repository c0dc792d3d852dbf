"""Files that the driver sees on the disk, but Spark does not list: none may vanish.

Java cannot represent a name that is not valid in its encoding of file names, and Hadoop skips
the files that it therefore does not find.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from glasses_spark.errors import ImagesError
from glasses_spark.loading.disk_files import disk_name, is_utf8, list_disk
from glasses_spark.loading.listing import Listing, number_in
from glasses_spark.printable import printable
from glasses_spark.reasons import Reason
from glasses_spark.runtime.connect import is_connect, runs_locally
from glasses_spark.runtime.location import is_on_disk, path_on_disk

logger = logging.getLogger(__name__)

# Names compared at a time.
_CHUNK: Final = 50_000
_EXAMPLES: Final = 3

DESCRIPTIONS: Final = {
    Reason.NAME_NOT_UTF8: "the name is not valid UTF-8, so Spark cannot open the file; rename it",
    Reason.NOT_LISTED: "Spark does not list the file: it needs a JVM started with "
    "LC_ALL=C.UTF-8, or skips a name that begins with . or _",
}


@dataclass(frozen=True)
class UnlistedFile:
    r"""A file that Spark does not list.

    Attributes:
        path: Its path; bytes that are not UTF-8 are escaped, as in ``caf\xe9.png``.
        id: Number in its name; None without one.
        reason: ``NAME_NOT_UTF8`` or ``NOT_LISTED``.
    """

    path: str
    id: int | None
    reason: Reason


def find_unlisted(
    spark: SparkSession, listing: Listing, location: str, *, glob: str, since: float
) -> tuple[UnlistedFile, ...]:
    """Compare the driver's own listing of a disk with Spark's.

    Takes 16 bytes of memory for each file that both list.

    Args:
        spark: Session of the listing.
        listing: Spark's listing.
        location: Folder, glob or URI that it is of. Other file systems than the driver's
            disks are not compared: Hadoop's listing is the only one.
        glob: Pattern of the base names.
        since: Time before Spark's listing, in seconds since the epoch. Files that are newer
            belong to the next run.

    Returns:
        The files that Spark does not list, by path.
    """
    if not is_on_disk(spark, location) or (is_connect(spark) and not runs_locally(spark)):
        return ()
    return missing_from(listing, list_disk(location, glob), since=since)


def missing_from(
    listing: Listing, paths: Iterator[str], *, since: float
) -> tuple[UnlistedFile, ...]:
    """Return the files on the disk that Spark does not list; see ``find_unlisted``.

    Args:
        listing: Spark's listing.
        paths: As from ``list_disk``.
        since: Time before Spark's listing.
    """
    known = np.sort(_hashes(_listed_path(name) for names in listing.chunks() for name in names))
    missing = [path for path in _absent(paths, known) if _is_older(path, since)]
    if missing:
        missing = _without_other_spellings(missing, listing)
    return tuple(unlisted_file(path) for path in sorted(missing))


def require_some_listed(
    listing: Listing, unlisted: tuple[UnlistedFile, ...], location: str
) -> None:
    """Check that Spark lists at least one of the files.

    Raises:
        ImagesError: It lists none, and there are some.
    """
    if not len(listing) and unlisted:
        examples = "; ".join(
            f"{file.path} ({DESCRIPTIONS[file.reason]})" for file in unlisted[:_EXAMPLES]
        )
        raise ImagesError(
            f"{printable(location)}: Spark lists none of the {len(unlisted)} image files: "
            f"{examples}"
        )


def unlisted_file(path: str) -> UnlistedFile:
    """Return a file that Spark does not list, from its path in ``list_disk``."""
    reason = Reason.NOT_LISTED if is_utf8(path) else Reason.NAME_NOT_UTF8
    return UnlistedFile(printable(path), number_in(os.path.basename(path)), reason)


def _listed_path(name: str) -> str:
    return path_on_disk(unquote(name))


def _hashes(paths: Iterator[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, paths), np.int64)


def _absent(paths: Iterator[str], known: NDArray[np.int64]) -> Iterator[str]:
    """Yield the paths whose hashes are not among the known ones, which are sorted."""
    while chunk := list(islice(paths, _CHUNK)):
        hashes = _hashes(iter(chunk))
        positions = np.searchsorted(known, hashes)
        found = positions < len(known)
        found[found] = known[positions[found]] == hashes[found]
        for position in np.flatnonzero(~found):
            yield chunk[position]


def _is_older(path: str, since: float) -> bool:
    try:
        return os.stat(disk_name(path)).st_ctime < since
    except OSError:  # deleted since
        return False


def _without_other_spellings(missing: list[str], listing: Listing) -> list[str]:
    """Leave out the files that Spark lists in another Unicode form, as Java on macOS does."""
    accented = {unicodedata.normalize("NFC", path): path for path in missing if not path.isascii()}
    listed = {
        accented[form]
        for names in (listing.chunks() if accented else ())
        for name in names
        if (form := unicodedata.normalize("NFC", _listed_path(name))) in accented
    }
    return [path for path in missing if path not in listed]
