"""Fixtures for all tests: one Spark session and fixed seeds."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.session import build_session

# Set before anything imports TensorFlow, here and in Spark's Python workers.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One local session with two task slots, as the package builds it for users."""
    session = build_session(
        master="local[2]",
        app_name="glasses-spark-tests",
        # Small data: two partitions are enough, on a machine with any number of cores.
        conf={"spark.sql.shuffle.partitions": "2", "spark.default.parallelism": "2"},
    )
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
