"""Tests for glasses_spark.runtime.python_workers.warm_up."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.python_workers.fork_server import (
    fork_server_address,
    stop_fork_server,
)
from glasses_spark.runtime.python_workers.warm_up import warm_up
from glasses_spark.runtime.startup import Optimization

pytestmark = pytest.mark.slow


def test_a_warm_up_ends_by_itself_and_starts_a_fork_server(spark: SparkSession) -> None:
    stop_fork_server(spark.sparkContext)

    threads = warm_up(spark, num_workers=2)

    assert threads
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert fork_server_address(spark.sparkContext) is not None


def test_its_switch_turns_the_warm_up_off(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_fork_server(spark.sparkContext)
    monkeypatch.setenv(Optimization.WARM_UP, "0")

    assert warm_up(spark, num_workers=2) == []
    assert fork_server_address(spark.sparkContext) is None


def test_the_fork_server_has_a_switch_of_its_own(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_fork_server(spark.sparkContext)
    monkeypatch.setenv(Optimization.FORK_SERVER, "0")

    for thread in warm_up(spark, num_workers=2):
        thread.join(timeout=60)

    assert fork_server_address(spark.sparkContext) is None
