"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from tests.training.tiny import ROWS, separable


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    """`ROWS` rows of ``features`` (vectors) and ``label``, in three partitions."""
    x, y = separable(ROWS)
    rows = [(Vectors.dense(a), float(b[0])) for a, b in zip(x, y, strict=True)]
    return spark.createDataFrame(rows, ["features", "label"]).repartition(3).cache()
