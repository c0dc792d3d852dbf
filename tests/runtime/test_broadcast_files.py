"""Tests for glasses_spark.runtime.broadcast_files."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import GlassesModel
from glasses_spark.runtime import broadcast_files
from tests.training.tiny import FEATURES, tiny_model

pytestmark = pytest.mark.slow


def scored(spark: SparkSession) -> DataFrame:
    network = tiny_model()
    model = GlassesModel(keras_model_config=network.to_json(), weights=network.get_weights())
    rows = spark.createDataFrame([(np.zeros(FEATURES).tolist(),)], "features array<double>")
    frame: DataFrame = model.transform(rows)
    return frame


def collect_garbage(spark: SparkSession) -> None:
    gc.collect()
    assert spark._jvm is not None
    spark._jvm.System.gc()


def test_the_file_of_a_model_goes_with_the_frames_that_use_it(spark: SparkSession) -> None:
    folder = Path(str(spark.sparkContext._temp_dir))
    before = set(folder.iterdir())
    frame = scored(spark)
    (file,) = set(folder.iterdir()) - before
    for _ in range(3):
        collect_garbage(spark)
        broadcast_files.remove_unused_files()
        assert file.exists()
        assert frame.count() == 1
        assert frame.collect()
    del frame
    ends = time.monotonic() + 60
    # Py4J releases an object of the JVM some time after Python's garbage collection.
    while file.exists():
        assert time.monotonic() < ends
        collect_garbage(spark)
        scored(spark)
