"""Frames of images for tests of the preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyspark.sql import DataFrame, SparkSession

from glasses_spark.loading.dataset import load_dataset
from tests.faces import write_faces, write_labels

PIXELS_SCHEMA: Final = "path string, id int, label double, pixels binary, error string"


def load_images(
    spark: SparkSession, folder: Path, files: Mapping[str, bytes], *, content: bool = True
) -> DataFrame:
    """Write files and load them; the label of a file is 1 if its number is odd.

    Args:
        spark: Session that loads them.
        folder: Folder to write to.
        files: Content by name.
        content: Whether Spark reads the content, not the tasks.
    """
    write_faces(folder / "faces", files)
    labels = write_labels(folder / "labels.csv", {number: number % 2 for number in range(100)})
    dataset = load_dataset(spark, str(folder / "faces"), str(labels))
    return dataset.frame if content else dataset.undecoded
