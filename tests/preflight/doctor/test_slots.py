"""Tests for glasses_spark.preflight.doctor.slots."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING
from glasses_spark.preflight.doctor.slots import (
    check_barrier,
    check_executors,
    check_master,
    check_running,
    check_workers,
)


@pytest.mark.parametrize(
    "master", ["local", "local[3]", "local[4, 2]", "local-cluster[2,4,1024]", "spark://h:1", "yarn"]
)
def test_a_known_master_passes(master: str) -> None:
    assert check_master(master).ok


@pytest.mark.parametrize("master", ["local[two]", "spark:/host", "loca", "local[2"])
def test_a_malformed_master_fails(master: str) -> None:
    check = check_master(master)

    assert (check.ok, check.found) == (False, master)
    assert "local[N]" in check.wanted


@pytest.mark.parametrize(
    ("slots", "workers", "mode", "cores", "verdict"),
    [
        (2, 3, "synchronous", 2, OK),
        (2, 2, "synchronous", 2, OK),
        (2, "auto", "synchronous", 2, OK),
        (2, 3, "asynchronous", 2, OK),
        (1, 8, "hogwild", 2, OK),
        (8, 8, "hogwild", 2, WARNING),
        (8, 8, "hogwild", None, OK),
        (0, "auto", "asynchronous", 2, FAILED),
        (None, 16, "synchronous", None, OK),
    ],
)
def test_workers_are_compared_with_slots_and_cores(
    slots: int | None, workers: int | str, mode: str, cores: int | None, verdict: str
) -> None:
    check = check_workers(slots, num_workers=workers, mode=mode, cores=cores)

    assert check.verdict == verdict


@pytest.mark.parametrize(
    ("slots", "workers", "found"),
    [
        (2, 3, "2 for 3 synchronous workers, which share 2 tasks"),
        (1, 4, "1 for 4 synchronous workers, which share 1 task"),
        (4, 2, "4 for 2 synchronous workers"),
    ],
)
def test_the_tasks_that_workers_share_are_shown(slots: int, workers: int, found: str) -> None:
    assert check_workers(slots, num_workers=workers, mode="synchronous").found == found


@pytest.mark.parametrize(
    ("dynamic", "mode", "ok"),
    [
        ("true", "synchronous", False),
        ("false", "synchronous", True),
        ("true", "asynchronous", True),
    ],
)
def test_dynamic_allocation_fails_synchronous_training(dynamic: str, mode: str, ok: bool) -> None:
    check = check_barrier({"spark.dynamicAllocation.enabled": dynamic}, mode)

    assert check.ok is ok
    assert ("dynamicAllocation.enabled=false" in check.advice) is not ok


@pytest.mark.slow
def test_a_running_spark_is_checked_for_its_slots_and_python_versions(spark: SparkSession) -> None:
    checks = check_running(spark, num_workers="auto", mode="synchronous")

    assert [check.verdict for check in checks] == [OK, OK, OK]
    assert checks[1].found == "2 for 2 synchronous workers"
    assert checks[2].found.startswith("2 tasks with Python 3.")


@pytest.mark.slow
def test_executors_with_another_python_fail(spark: SparkSession) -> None:
    check = check_executors(spark, 2, barrier=False, python="3.12.99")

    assert not check.ok
    assert check.wanted == "Python 3.12.99 with the packages of the driver"
    assert "PYSPARK_PYTHON" in check.advice


@pytest.mark.slow
def test_executors_that_lack_a_package_fail_with_its_name(spark: SparkSession) -> None:
    check = check_executors(spark, 2, barrier=True, packages=["numpy", "no_such_package"])

    assert not check.ok
    assert check.found.endswith("; no_such_package: No module named 'no_such_package'")


@pytest.mark.slow
def test_a_failed_task_is_reported_with_its_error(spark: SparkSession) -> None:
    # A relative import without a package raises TypeError, which the task does not catch.
    check = check_executors(spark, 1, barrier=False, packages=[".relative"])

    assert not check.ok
    assert check.found
