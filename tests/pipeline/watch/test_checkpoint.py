"""Tests for glasses_spark.pipeline.watch.checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError
from glasses_spark.pipeline.watch.checkpoint import own_checkpoint


def test_an_error_of_the_watch_is_none_of_the_checkpoint(
    spark: SparkSession, tmp_path: Path
) -> None:
    with (
        pytest.raises(FileNotFoundError, match="gone"),
        own_checkpoint(spark, str(tmp_path), {"FOLDER": "a"}),
    ):
        raise FileNotFoundError("gone")
    with (
        pytest.raises(ConfigError, match=r"FOLDER: .* was made with a, got b"),
        own_checkpoint(spark, str(tmp_path), {"FOLDER": "b"}),
    ):
        pass
