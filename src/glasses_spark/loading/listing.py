"""Listing: the names of the files that Spark has listed, looked at without a query.

Spark's driver keeps every name that it has listed. Asked for them it answers in
milliseconds, where the first query of a new JVM takes two seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

# Numbers of files are also asked for where there is no Spark.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Names that come from Java at a time, about 5 MB.
CHUNK: Final = 50_000

# In place of the number of a file whose name has none.
UNNUMBERED: Final = -1

_EXTENSION: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")
_NUMBER: Final = re.compile(r"([0-9]+)[^0-9]*$")
_MAX_ID: Final = 2**31 - 1

# How the listing and how scans begin a name on a disk.
_LISTED_LOCAL: Final = re.compile(r"^([^:/]+):///")
_SCANNED_LOCAL: Final = r"\1:/"


class Listing:
    """The files of a frame that a file source of Spark has just listed.

    Args:
        images: As ``open_images`` returns it.
    """

    def __init__(self, images: DataFrame) -> None:
        self._jvm: Any = images.sparkSession.sparkContext._jvm
        # inputFiles of the frame would do, but for the count of those that a scan returns.
        self._index = images._jdf.queryExecution().analyzed().relation().location()
        self._names = self._index.inputFiles()
        self._only_chunk: list[str] | None = None

    def __len__(self) -> int:
        """How many there are, empty files among them."""
        return len(self._names)

    @property
    def hidden(self) -> int:
        """How many of them no scan of Spark returns: the empty ones."""
        everything = self._jvm.scala.collection.immutable.__getattr__("Nil$").__getattr__("MODULE$")
        # One partition, as `recursiveFileLookup` makes no columns of folders.
        return len(self) - int(self._index.listFiles(everything, everything).head().files().size())

    def chunks(self) -> Iterator[list[str]]:
        """The names, URL-encoded, as ``_metadata.file_path`` has them."""
        if self._only_chunk is not None:
            yield self._only_chunk
            return
        for start in range(0, len(self), CHUNK):
            # Joined there: each name by itself would be a call to Java. A name that is
            # URL-encoded has no line break.
            chunk = self._names[start : min(start + CHUNK, len(self))]
            text = self._jvm.org.apache.hadoop.util.StringUtils.join("\n", chunk)
            names = [_LISTED_LOCAL.sub(_SCANNED_LOCAL, name) for name in text.split("\n")]
            if len(self) <= CHUNK:
                self._only_chunk = names
            yield names

    def numbers(self) -> NDArray[np.int64]:
        """The number in the base name of each, ``UNNUMBERED`` where there is none."""
        found = (number_in(base_name(name)) for names in self.chunks() for name in names)
        return np.fromiter(
            (UNNUMBERED if number is None else number for number in found), np.int64, len(self)
        )

    def where(self, mask: NDArray[np.bool_]) -> Iterator[str]:
        """The names of some, URL-encoded.

        Args:
            mask: Of which of them, ``(len(self),)``.
        """
        start = 0
        for names in self.chunks() if mask.any() else ():
            for place in np.flatnonzero(mask[start : start + len(names)]):
                yield names[place]
            start += len(names)


def base_name(name: str) -> str:
    """The last part of an URL-encoded name, decoded."""
    return unquote(name.rpartition("/")[2])


def number_in(name: str) -> int | None:
    """Give the last number of a base name; None where there is none, or none that fits an int."""
    match = _NUMBER.search(_EXTENSION.sub("", name))
    if match is None or int(match[1]) > _MAX_ID:
        return None
    return int(match[1])
