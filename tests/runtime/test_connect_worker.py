"""Tests for glasses_spark.runtime.connect_worker."""

from __future__ import annotations

import os

import pytest

from glasses_spark.runtime.connect_worker import ProcessSettings
from glasses_spark.runtime.machine import count_cores
from glasses_spark.runtime.workers import threads_of_this_process


def test_processes_share_the_cores_of_a_machine_and_get_those_of_a_task_on_a_cluster() -> None:
    assert ProcessSettings(at_once=1, task_cpus=1).threads == count_cores()
    assert ProcessSettings(at_once=1000, task_cpus=4).threads == 1
    assert ProcessSettings(at_once=None, task_cpus=4).threads == 4


def test_settings_are_those_of_the_process_once_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GLASSES_SPARK_THREADS", "KERAS_BACKEND", "GLASSES_SPARK_NATIVE_STDERR"):
        # Restored afterwards, whatever the settings do.
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("GLASSES_SPARK_NATIVE_STDERR")
    ProcessSettings(at_once=None, task_cpus=3).apply()
    assert threads_of_this_process() == 3
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert os.environ["GLASSES_SPARK_NATIVE_STDERR"] == "0"
