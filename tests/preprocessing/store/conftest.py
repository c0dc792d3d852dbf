"""Fixtures of the pixel store."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.preprocessing.store.images_on_disk import ImagesOnDisk


@pytest.fixture
def images(spark: SparkSession, tmp_path: Path) -> ImagesOnDisk:
    return ImagesOnDisk(spark, tmp_path)
