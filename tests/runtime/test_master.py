"""Tests for glasses_spark.runtime.master."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.master import (
    is_known_master,
    is_local,
    is_local_master,
    is_on_this_machine,
    master_in_settings,
    with_retries,
)

LOCAL = ["local", "local[2]", "local[*]", "local[2,3]", "local[2, 3]", "local[*,1]"]
LOCAL_CLUSTER = ["local-cluster[2,1,1024]", "local-cluster[ 2 , 1 , 1024 ]"]
CLUSTER = ["spark://host:7077", "spark://a:1,b:2", "yarn", "k8s://https://host:6443"]
MALFORMED = ["local[two]", "local[2", "loca", "local[]", "local-cluster[2,1]", "spark:/host"]


@pytest.mark.parametrize("master", [*LOCAL, None, ""])
def test_local_masters_run_tasks_in_the_drivers_jvm(master: str | None) -> None:
    assert is_local_master(master)
    assert is_on_this_machine(master)


@pytest.mark.parametrize("master", LOCAL_CLUSTER)
def test_a_local_cluster_runs_tasks_on_this_machine_in_other_processes(master: str) -> None:
    assert not is_local_master(master)
    assert is_on_this_machine(master)


@pytest.mark.parametrize("master", [*CLUSTER, *MALFORMED])
def test_other_masters_are_not_local(master: str) -> None:
    assert not is_local_master(master)
    assert not is_on_this_machine(master)


@pytest.mark.parametrize("master", [*LOCAL, *LOCAL_CLUSTER, *CLUSTER])
def test_the_masters_of_spark_are_known(master: str) -> None:
    assert is_known_master(master)


@pytest.mark.parametrize("master", [*MALFORMED, ""])
def test_malformed_masters_are_unknown(master: str) -> None:
    assert not is_known_master(master)


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        ("local", "local[1,4]"),
        ("local[2]", "local[2,4]"),
        ("local[*]", "local[*,4]"),
        ("local[2,1]", "local[2,1]"),
        ("local[*, 3]", "local[*, 3]"),
        *((master, master) for master in [*LOCAL_CLUSTER, *CLUSTER]),
    ],
)
def test_tasks_of_local_sessions_are_retried_unless_the_master_says_how_often(
    master: str, expected: str
) -> None:
    assert with_retries(master) == expected
    assert is_local_master(expected) == is_local_master(master)


def test_a_local_session_is_local(spark: SparkSession) -> None:
    assert is_local(spark.sparkContext)


@pytest.mark.parametrize(
    ("master", "conf", "expected"),
    [
        ("local[2]", {"spark.master": "yarn"}, "local[2]"),
        ("", {"spark.master": "yarn"}, "yarn"),
        ("", {}, "local[*]"),
    ],
)
def test_the_master_of_the_configuration_takes_precedence_over_the_setting(
    master: str, conf: dict[str, str], expected: str
) -> None:
    assert master_in_settings(master, conf) == expected
