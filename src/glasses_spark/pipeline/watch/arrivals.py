"""Arrivals: files of a folder that are complete, each of which is found once.

Spark's own stream of files takes a file as it is at the first sight of its name: half of one that
is being copied, and nothing of one that is still empty. So files are taken when they have not
changed for some seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from pyspark.sql import SparkSession

from glasses_spark.columns import LENGTH, MODIFICATION_TIME, PATH
from glasses_spark.loading.connect_listing import list_files
from glasses_spark.loading.disk_files import disk_name, is_utf8, list_disk
from glasses_spark.loading.images import open_images
from glasses_spark.loading.unlisted import DESCRIPTIONS
from glasses_spark.printable import printable
from glasses_spark.reasons import Reason
from glasses_spark.runtime.location import is_on_disk

# What changes while a file is written: its length, and when it was changed in seconds by the
# clock of its file system, None if that is unknown.
State = tuple[int, float | None]


@dataclass(frozen=True)
class Arrival:
    """A file that is complete.

    Attributes:
        path: Its path in Spark's form, such as ``file:/faces/1.png``.
        error: Why it cannot be opened; None if it can.
    """

    path: str
    error: str | None = None

    @property
    def key(self) -> tuple[str, bool]:
        """What tells it from others: a name can be what another one is shown as."""
        return self.path, self.error is None


class Arrivals:
    """The files of a folder, found when they are complete.

    Args:
        spark: Running session.
        location: Folder, glob or URI.
        glob: Pattern of the base names.
        settle: Seconds without a change after which a file is complete.
        known: Keys of the files that were found before.

    Attributes:
        waiting: Number of files that were not complete at the last look.
    """

    def __init__(
        self,
        spark: SparkSession,
        location: str,
        *,
        glob: str,
        settle: float,
        known: set[tuple[str, bool]],
    ) -> None:
        self._spark = spark
        self._location = location
        self._glob = glob
        self._settle = settle
        self._known = known
        self._seen: dict[tuple[str, bool], tuple[State, float]] = {}
        self._look: Callable[[], Iterator[tuple[Arrival, State]]] = (
            self._on_disk if is_on_disk(spark, location) else self._through_spark
        )
        self.waiting = 0

    def find(self) -> list[Arrival]:
        """Return the files that have become complete since the last call, by path."""
        now, clock = time.monotonic(), time.time()
        seen, complete = {}, {}
        for arrival, state in self._look():
            before, since = self._seen.get(arrival.key, (state, now))
            if before != state:
                since = now
            seen[arrival.key] = (state, since)
            changed = state[1]
            is_old = changed is not None and clock - changed >= self._settle
            # The second rule is for clocks that differ.
            if is_old or now - since >= self._settle:
                complete[arrival.key] = arrival
        for key in complete:
            del seen[key]
            self._known.add(key)
        self._seen, self.waiting = seen, len(seen)
        return sorted(complete.values(), key=lambda arrival: arrival.key)

    def _on_disk(self) -> Iterator[tuple[Arrival, State]]:
        for name in list_disk(self._location, self._glob):
            if is_utf8(name):
                arrival = Arrival(f"file:{name}")
            else:
                arrival = Arrival(f"file:{printable(name)}", DESCRIPTIONS[Reason.NAME_NOT_UTF8])
            if arrival.key in self._known:
                continue
            try:
                status = os.stat(disk_name(name))
            except OSError:  # deleted since
                continue
            # Not the time of modification, which copying programs set.
            yield arrival, (status.st_size, status.st_ctime)

    def _through_spark(self) -> Iterator[tuple[Arrival, State]]:
        images = open_images(self._spark, self._location, glob=self._glob)
        names = [unquote(name) for chunk in list_files(images).chunks() for name in chunk]
        unknown = [name for name in names if Arrival(name).key not in self._known]
        if not unknown:
            return
        rows = images.select(PATH, LENGTH, MODIFICATION_TIME).toLocalIterator()
        states = {row[PATH]: (row[LENGTH], row[MODIFICATION_TIME].timestamp()) for row in rows}
        for name in unknown:
            # Scans leave empty files out.
            yield Arrival(name), states.get(name, (0, None))
