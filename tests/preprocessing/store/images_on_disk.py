"""A folder of images with labels, and the store of their pixels, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession

from glasses_spark.loading.dataset import Dataset, load_dataset
from glasses_spark.preprocessing.store.pixel_store import (
    PixelStore,
    StoredPixels,
    resolve_root,
)
from tests.faces import noise_png, write_faces, write_labels

SIZE: Final = 8


class ImagesOnDisk:
    """Six files, of which 6 is not a PNG file and 5 has an undefined label."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark
        self.faces = folder / "faces [of 2020]"
        self.labels = folder / "labels.csv"
        self.root = folder / "pixel store"
        files = {f"face-{n}.png": noise_png(seed=n) for n in range(1, 6)}
        write_faces(self.faces, files | {"face-6.png": b"no image"})
        write_labels(self.labels, {1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: "nan", 6: 1.0})

    @property
    def folder(self) -> Path:
        """The folder of the store."""
        return Path(self.store().folder.removeprefix("file:"))

    def dataset(self, limit: int | None = None) -> Dataset:
        return load_dataset(self._spark, str(self.faces), str(self.labels), limit=limit)

    def store(self, size: int = SIZE) -> PixelStore:
        root = resolve_root(self._spark, str(self.root))
        assert root is not None
        return PixelStore(self._spark, root, location=str(self.faces), height=size, width=size)

    def update(self, limit: int | None = None, *, held: bool = False) -> StoredPixels:
        """Update the store; with ``held`` the lease stays until the result is released."""
        stored = self.store().update(self.dataset(limit))
        if not held:
            stored.release()
        return stored

    def segments(self) -> list[str]:
        """Return the names of the store's segments without their random suffixes."""
        return sorted(path.name.rsplit("-", 1)[0] for path in self.folder.glob("*-*"))


def rows_by_id(stored: StoredPixels) -> dict[int, Any]:
    return {row["id"]: row for row in stored.frame.collect()}
