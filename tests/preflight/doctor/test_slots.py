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
    is_local_master,
    slots_of,
)


@pytest.mark.parametrize(
    ("master", "conf", "slots"),
    [
        ("local", {}, 1),
        ("local[3]", {}, 3),
        ("local[*]", {}, 8),
        ("local[4, 2]", {}, 4),
        ("local[*]", {"spark.task.cpus": "3"}, 2),
        ("local-cluster[2,4,1024]", {"spark.task.cpus": "2"}, 4),
        ("spark://host:7077", {}, None),
        ("yarn", {"spark.executor.instances": "5", "spark.executor.cores": "4"}, 20),
    ],
)
def test_slots_are_read_from_the_master_and_the_settings(
    master: str, conf: dict[str, str], slots: int | None
) -> None:
    assert slots_of(master, conf, 8) == slots
    assert check_master(master).ok
    assert is_local_master(master) is (master.startswith("local") and "cluster" not in master)


@pytest.mark.parametrize("master", ["local[two]", "spark:/host", "loca", "local[2"])
def test_a_malformed_master_fails(master: str) -> None:
    check = check_master(master)

    assert (check.ok, check.found) == (False, master)
    assert "local[N]" in check.wanted


@pytest.mark.parametrize(
    ("slots", "workers", "mode", "cores", "verdict"),
    [
        (2, 3, "synchronous", 2, FAILED),
        (2, 2, "synchronous", 2, OK),
        (2, "auto", "synchronous", 2, OK),
        (2, 3, "asynchronous", 2, WARNING),
        (8, 8, "hogwild", 2, WARNING),
        (8, 8, "hogwild", None, OK),
        (0, "auto", "asynchronous", 2, FAILED),
        (None, 16, "synchronous", None, OK),
    ],
)
def test_workers_are_held_against_slots_and_cores(
    slots: int | None, workers: int | str, mode: str, cores: int | None, verdict: str
) -> None:
    check = check_workers(slots, num_workers=workers, mode=mode, cores=cores)

    assert check.verdict == verdict


def test_too_many_synchronous_workers_are_told_both_numbers_and_what_to_do() -> None:
    check = check_workers(2, num_workers=3, mode="synchronous")

    assert check.found == "2, for 3 synchronous workers"
    assert check.advice == (
        "Take --set training.num_workers=2, or give Spark more cores, or train asynchronously"
    )


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


def test_a_running_spark_is_asked_for_its_slots_and_its_pythons(spark: SparkSession) -> None:
    checks = check_running(spark, num_workers="auto", mode="synchronous")

    assert [check.verdict for check in checks] == [OK, OK, OK]
    assert checks[1].found == "2, for 2 synchronous workers"
    assert checks[2].found.startswith("2 tasks at once, Python 3.")


def test_executors_with_another_python_fail(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glasses_spark.preflight.doctor.slots._own_python", lambda: "3.12.99")

    check = check_executors(spark, 2, barrier=False)

    assert not check.ok
    assert check.wanted == "Python 3.12.99 with the packages of the driver"
    assert "PYSPARK_PYTHON" in check.advice


def test_executors_that_lack_a_package_fail_by_its_name(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = ("numpy", "no_such_package")
    monkeypatch.setattr("glasses_spark.preflight.doctor.slots.PROBED", packages)

    check = check_executors(spark, 2, barrier=True)

    assert not check.ok
    assert check.found.endswith("; no_such_package: No module named 'no_such_package'")


def test_tasks_that_fail_are_told_by_their_error(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glasses_spark.preflight.doctor.slots.PROBED", (None,))

    check = check_executors(spark, 1, barrier=False)

    assert not check.ok
    assert check.found
