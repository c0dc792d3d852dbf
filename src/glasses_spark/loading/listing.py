"""Names of the files that Spark has listed, read from the driver without a query.

Spark's driver keeps every name that it has listed. It returns them in milliseconds; the
first query of a new JVM takes two seconds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from glasses_spark.columns import MAX_ID

# Not imported here: `number_in` is also used without Spark.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Names per call to Java, about 5 MB.
CHUNK: Final = 50_000

# Id of a file without a number in its name.
UNNUMBERED: Final = -1

# Extension of a base name, and the last number of the rest. `_id_of` in images.py evaluates them
# in SQL, so the syntax is common to Python and Java.
EXTENSION: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")
NUMBER: Final = re.compile(r"([0-9]+)[^0-9]*$")

# Beginning of the name of a file on a disk: in the listing, and in scans.
LISTED_LOCAL: Final = re.compile(r"^([^:/]+):///")
_LISTED_LINE: Final = re.compile(r"^([^:/\n]+):///", re.MULTILINE)
_SCANNED_LOCAL: Final = r"\1:/"

_FASTEST: Final = 1  # level of zlib


class Listing:
    """File names of a frame that one of Spark's file sources has listed.

    Args:
        images: Frame from ``open_images``.
    """

    def __init__(self, images: DataFrame) -> None:
        self._spark = images.sparkSession
        self._jvm: Any = self._spark.sparkContext._jvm
        # `inputFiles` of the frame has the same names, but not the count of hidden files.
        self._index = images._jdf.queryExecution().analyzed().relation().location()
        self._names = self._index.inputFiles()
        # Compressed to less than a tenth: reading them from Java again takes seconds for a million.
        self._chunks: list[bytes] = []

    def __len__(self) -> int:
        """Return the number of files, empty ones included."""
        return len(self._names)

    @property
    def hidden(self) -> int:
        """The number of files that no scan of Spark returns: the empty ones."""
        no_filters = self._jvm.scala.collection.immutable.__getattr__("Nil$").__getattr__("MODULE$")
        # One partition, because `recursiveFileLookup` makes no partition columns of folders.
        partition = self._index.listFiles(no_filters, no_filters).head()
        return len(self) - int(partition.files().size())

    def chunks(self) -> Iterator[list[str]]:
        """Yield the names, URL-encoded as in ``_metadata.file_path``, in lists."""
        for number in range(-(-len(self) // CHUNK)):
            if number == len(self._chunks):
                self._chunks.append(zlib.compress(self._read(number).encode(), _FASTEST))
            yield zlib.decompress(self._chunks[number]).decode().split("\n")

    def ids(self) -> NDArray[np.int64]:
        """Return the number in the base name of each file, ``UNNUMBERED`` without one."""
        numbers = (number_in(base_name(name)) for names in self.chunks() for name in names)
        return np.fromiter(
            (UNNUMBERED if number is None else number for number in numbers), np.int64, len(self)
        )

    def select(self, mask: NDArray[np.bool_]) -> Iterator[str]:
        """Yield the URL-encoded names at the positions where ``mask``, ``(len(self),)``, is set."""
        start = 0
        for names in self.chunks() if mask.any() else ():
            for position in np.flatnonzero(mask[start : start + len(names)]):
                yield names[position]
            start += len(names)

    def to_frame(self, names: Sequence[str] | None, *, tasks: int) -> DataFrame:
        """Return names as a frame with equally large partitions.

        Spark's own scans fill partitions by file size, and some get twice as many files as
        others if there are few.

        Args:
            names: Names from ``chunks``, at least one; None for all files.
            tasks: Number of partitions, at least 1.

        Returns:
            One column, ``value``: names as Spark lists them, or as in ``names``.
        """
        from pyspark.sql import DataFrame

        # One string for Java, which splits it: each name alone would be a call.
        array = self._names if names is None else self._strings.getStrings("\n".join(names), "\n")
        rows = self._java("scala.collection.immutable.ArraySeq").unsafeWrapArray(array)
        rows = self._java("scala.jdk.javaapi.CollectionConverters").asJava(rows)
        partitions = self._spark.sparkContext._jsc.parallelize(rows, tasks)
        encoder = self._java("org.apache.spark.sql.Encoders").STRING()
        dataset = self._spark._jsparkSession.createDataset(partitions.rdd(), encoder).toDF()
        return DataFrame(dataset, self._spark)

    def _read(self, number: int) -> str:
        """Return the names of a chunk, one a line."""
        # Joined in Java, because each name alone would be a call. URL-encoded names have no
        # line breaks.
        names = self._names[number * CHUNK : min((number + 1) * CHUNK, len(self))]
        return _LISTED_LINE.sub(_SCANNED_LOCAL, self._strings.join("\n", names))

    @property
    def _strings(self) -> Any:
        return self._java("org.apache.hadoop.util.StringUtils")

    def _java(self, name: str) -> Any:
        # By its full name: py4j would look up each part of a dotted expression in all jars.
        return getattr(self._jvm, name)


def scanned_name(name: str) -> str:
    """Return a name of Spark's listing as it is in scans, in ``_metadata.file_path``."""
    return LISTED_LOCAL.sub(_SCANNED_LOCAL, name)


def base_name(name: str) -> str:
    """Return the decoded last part of a URL-encoded name."""
    return unquote(name.rpartition("/")[2])


def number_in(name: str) -> int | None:
    """Return the last number of a base name; None without one or above ``MAX_ID``.

    The extension is ignored: ``face-1.jp2`` has the number 1.
    """
    match = NUMBER.search(EXTENSION.sub("", name))
    if match is None or int(match[1]) > MAX_ID:
        return None
    return int(match[1])
