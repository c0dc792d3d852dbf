"""Announcements: the log of the files that were found, from which Spark's stream reads them.

Each file of the log lists files in JSON, one to a line. It appears complete and never changes, as
Spark's stream of text files needs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from pyspark.sql import DataFrame, SparkSession

from glasses_spark.errors import DataError
from glasses_spark.pipeline.watch.arrivals import Arrival
from glasses_spark.runtime import hadoop

_VALUE = "value"

# Spark forgets files of its log after a week by default. It would then read announcements again
# that were copied with the checkpoint, and none that a clock dates a week before the last one.
_FOREVER = "36500d"

_NAME = re.compile(r"([0-9]{12,18})\.jsonl")


class Announcements:
    """A folder of announcements.

    Args:
        spark: Running session.
        folder: Path or URI of the folder; made if it is missing.
    """

    def __init__(self, spark: SparkSession, folder: str) -> None:
        self._spark = spark
        self._folder = folder
        hadoop.make_folder(spark, folder)
        names = hadoop.list_names(spark, folder)
        numbers = [int(match[1]) for match in map(_NAME.fullmatch, names) if match]
        self._next = max(numbers, default=0) + 1

    def add(self, arrivals: Sequence[Arrival]) -> None:
        """Write files to the log."""
        lines = [json.dumps(asdict(arrival)) for arrival in arrivals]
        name = f"{self._next:012d}.jsonl"
        # Hidden from Spark's stream until it is complete.
        hidden = f"{self._folder}/.{name}"
        hadoop.write_text(self._spark, hidden, "\n".join(lines) + "\n")
        hadoop.move(self._spark, hidden, f"{self._folder}/{name}")
        self._next += 1

    def known(self) -> set[tuple[str, bool]]:
        """Return the keys of all files in the log."""
        if self._next == 1:
            return set()
        rows = self._spark.read.text(self._folder).toLocalIterator()
        return {parse_arrival(row[_VALUE]).key for row in rows}

    def stream(self) -> DataFrame:
        """Return the lines of the log as a stream, for ``parse_arrival``."""
        # One announcement for each batch, so that a batch that is done again is a small one.
        reader = self._spark.readStream.option("maxFilesPerTrigger", 1)
        return reader.option("maxFileAge", _FOREVER).text(self._folder)


def parse_arrival(line: str) -> Arrival:
    """Return the file of a line of the log.

    Raises:
        DataError: The line is not from ``Announcements``.
    """
    try:
        found = json.loads(line)
        path, error = found["path"], found["error"]
        if isinstance(path, str) and isinstance(error, str | None):
            return Arrival(path, error)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise DataError(
        f"expected a line of announcements that `glasses-spark watch` has written, found "
        f"{line[:80]!r}. Use another folder for the checkpoint"
    )
