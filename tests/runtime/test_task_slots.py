"""Tests for glasses_spark.runtime.task_slots; tests/cluster/ has the waiting for executors."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.task_slots import (
    count_workers,
    slots_in_settings,
    task_cpus,
    task_slots,
)

EXECUTORS = {"spark.executor.instances": "5", "spark.executor.cores": "4"}
GPUS = {"spark.executor.resource.gpu.amount": "2", "spark.task.resource.gpu.amount": "1"}


@pytest.mark.parametrize(
    ("master", "conf", "slots"),
    [
        pytest.param("local", {}, 1, id="one core"),
        pytest.param("local[3]", {}, 3, id="local"),
        pytest.param("local[*]", {}, 8, id="all cores"),
        pytest.param("local[4, 2]", {}, 4, id="local with retries"),
        pytest.param("local[*]", {"spark.task.cpus": "3"}, 2, id="cores of a task"),
        pytest.param("local[2]", {"spark.task.cpus": "3"}, 0, id="no room for a task"),
        pytest.param("local[8]", GPUS, 8, id="local mode ignores executors' GPUs"),
        pytest.param("local-cluster[2,4,1024]", {"spark.task.cpus": "2"}, 4, id="local cluster"),
        pytest.param("local-cluster[3,4,1024]", GPUS, 6, id="fewer GPUs than cores"),
        pytest.param("yarn", EXECUTORS, 20, id="executors and cores"),
        pytest.param("yarn", EXECUTORS | {"spark.task.cpus": "3"}, 5, id="rest of each executor"),
        pytest.param("spark://h:7077", EXECUTORS | GPUS, 10, id="GPUs of a cluster"),
        pytest.param(
            "spark://h:7077",
            EXECUTORS | GPUS | {"spark.task.resource.gpu.amount": "0.25"},
            20,
            id="tasks that share a GPU",
        ),
        pytest.param("spark://h:7077", {}, None, id="all free cores"),
        pytest.param("yarn", {"spark.executor.cores": "4"}, None, id="number of executors unknown"),
        pytest.param(
            "yarn",
            EXECUTORS | {"spark.dynamicAllocation.enabled": "true"},
            None,
            id="dynamic allocation",
        ),
    ],
)
def test_slots_are_computed_from_the_master_and_the_settings(
    master: str, conf: dict[str, str], slots: int | None
) -> None:
    assert slots_in_settings(master, conf, cores=8) == slots


def test_a_local_session_has_a_slot_for_each_core(spark: SparkSession) -> None:
    assert task_slots(spark) == 2


@pytest.mark.parametrize(("conf", "cpus"), [({}, 1), ({"spark.task.cpus": "3"}, 3)])
def test_a_task_takes_one_core_unless_the_settings_say_more(
    conf: dict[str, str], cpus: int
) -> None:
    assert task_cpus(conf.get) == cpus


def test_auto_means_a_worker_for_each_slot() -> None:
    assert count_workers("auto", slots=3) == 3
    assert count_workers(5, slots=3) == 5
