"""Listing: the names of the files that Spark has listed, looked at without a query.

Spark's driver keeps every name that it has listed. Asked for them it answers in
milliseconds, where the first query of a new JVM takes two seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

# Numbers of files are also asked for where there is no Spark.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Names that come from Java at a time, about 5 MB.
CHUNK: Final = 50_000

# What Java sends in more than one piece, of 8 KB each, is late by 40 ms: the second waits
# until the first is acknowledged (Nagle's algorithm, RFC 896). So many letters arrive at
# once, even where names differ in length or take two bytes a letter; and so many calls
# for them take less than waiting once.
_LETTERS: Final = 4_000
_PROMPT_CALLS: Final = 40

# In place of the number of a file whose name has none.
UNNUMBERED: Final = -1

_EXTENSION: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")
_NUMBER: Final = re.compile(r"([0-9]+)[^0-9]*$")
_MAX_ID: Final = 2**31 - 1

# How the listing and how scans begin a name on a disk.
LISTED_LOCAL: Final = re.compile(r"^([^:/]+):///")
_SCANNED_LOCAL: Final = r"\1:/"


class Listing:
    """The files of a frame that a file source of Spark has just listed.

    Args:
        images: As ``open_images`` returns it.
    """

    def __init__(self, images: DataFrame) -> None:
        self._spark = images.sparkSession
        self._jvm: Any = self._spark.sparkContext._jvm
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
        step = self._names_a_call() if len(self) else CHUNK
        for start in range(0, len(self), CHUNK):
            end = min(start + CHUNK, len(self))
            pieces = (self._names[n : min(n + step, end)] for n in range(start, end, step))
            # Joined there: each name by itself would be a call to Java. A name that is
            # URL-encoded has no line break.
            listed = "\n".join(self._strings.join("\n", piece) for piece in pieces).split("\n")
            names = [LISTED_LOCAL.sub(_SCANNED_LOCAL, name) for name in listed]
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

    def frame(self, names: Sequence[str] | None, *, tasks: int) -> DataFrame:
        """The names as a frame, of which each task has as many as the others, give or take one.

        Spark's own scans fill tasks by the sizes of files, and some twice as full as others
        where there are few.

        Args:
            names: Some of the names, at least one; None for all.
            tasks: How many, at least 1.

        Returns:
            One column, ``value``: as Spark lists names, or as ``chunks`` gives them.
        """
        from pyspark.sql import DataFrame

        # Given to Java in one piece and cut there, as they came.
        array = self._names if names is None else self._strings.getStrings("\n".join(names), "\n")
        rows = self._java("scala.collection.immutable.ArraySeq").unsafeWrapArray(array)
        rows = self._java("scala.jdk.javaapi.CollectionConverters").asJava(rows)
        parts = self._spark.sparkContext._jsc.parallelize(rows, tasks)
        text = self._java("org.apache.spark.sql.Encoders").STRING()
        found = self._spark._jsparkSession.createDataset(parts.rdd(), text).toDF()
        return DataFrame(found, self._spark)

    def _names_a_call(self) -> int:
        prompt = max(1, _LETTERS // len(self._names[0]))
        return prompt if len(self) <= _PROMPT_CALLS * prompt else CHUNK

    @property
    def _strings(self) -> Any:
        return self._java("org.apache.hadoop.util.StringUtils")

    def _java(self, name: str) -> Any:
        # By its whole name at once: each part by itself would be looked for in all jars.
        return getattr(self._jvm, name)


def base_name(name: str) -> str:
    """The last part of an URL-encoded name, decoded."""
    return unquote(name.rpartition("/")[2])


def number_in(name: str) -> int | None:
    """Give the last number of a base name; None where there is none, or none that fits an int."""
    match = _NUMBER.search(_EXTENSION.sub("", name))
    if match is None or int(match[1]) > _MAX_ID:
        return None
    return int(match[1])
