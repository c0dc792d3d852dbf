"""Names of the files that a frame reads, in a classic session and under Spark Connect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from glasses_spark.loading.listing import CHUNK, Listing, scanned_name
from glasses_spark.runtime.connect import is_connect

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def list_files(images: DataFrame) -> Listing:
    """Return the names of the files of a frame.

    Args:
        images: Frame from ``open_images``.
    """
    return ConnectListing(images) if is_connect(images.sparkSession) else Listing(images)


class ConnectListing(Listing):
    """File names under Spark Connect, whose driver is in another process.

    Args:
        images: Frame from ``open_images``.
    """

    def __init__(self, images: DataFrame) -> None:
        self._images = images
        self._files = [scanned_name(name) for name in images.inputFiles()]
        self._scanned: int | None = None

    def __len__(self) -> int:
        """Return the number of files, empty ones included."""
        return len(self._files)

    @property
    def hidden(self) -> int:
        """The number of files that no scan of Spark returns: the empty ones."""
        if self._scanned is None:
            self._scanned = self._images.count()
        return len(self._files) - self._scanned

    def chunks(self) -> Iterator[list[str]]:
        """Yield the names, URL-encoded as in ``_metadata.file_path``, in lists."""
        for start in range(0, len(self._files), CHUNK):
            yield self._files[start : start + CHUNK]

    def to_frame(self, names: Sequence[str] | None, *, tasks: int) -> DataFrame:
        """Return names as a frame with equally large partitions; see `Listing.to_frame`."""
        values = self._files if names is None else list(names)
        table = pa.table({"value": pa.array(values, pa.string())})
        return self._images.sparkSession.createDataFrame(table).repartition(tasks)
