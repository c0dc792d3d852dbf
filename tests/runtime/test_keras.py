"""Tests for glasses_spark.runtime.keras."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from glasses_spark.runtime.keras import collector_paused
from tests.runtime.processes import clean_environment

THREADS = """
from glasses_spark.runtime.keras import import_keras

keras = import_keras(threads=1)
import tensorflow as tf

print(keras.backend.backend(), tf.config.threading.get_intra_op_parallelism_threads())
tf.constant(1.0) + 1.0
import_keras(threads=2)
print(tf.config.threading.get_intra_op_parallelism_threads())
"""

BARE = """
import sys
from glasses_spark.runtime.keras import import_bare_keras

keras = import_bare_keras()
print(sorted({"scipy", "sklearn", "matplotlib"} & set(sys.modules)))
import matplotlib
import scipy
"""


def run(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=clean_environment(CUDA_VISIBLE_DEVICES="-1", PYTHONWARNINGS="ignore"),
    ).stdout


@pytest.mark.slow
def test_the_first_number_of_threads_counts_for_the_whole_process() -> None:
    assert run(THREADS).splitlines() == ["tensorflow 1", "1"]


@pytest.mark.slow
def test_a_bare_import_leaves_out_packages_that_can_be_imported_later() -> None:
    assert run(BARE) == "[]\n"


def test_the_collector_is_paused_once_and_enabled_again_afterwards() -> None:
    def pause_again() -> None:
        with collector_paused():
            enabled.append(gc.isenabled())

    enabled: list[bool] = []
    with collector_paused():
        thread = threading.Thread(target=pause_again)
        thread.start()
        thread.join()
        enabled.append(gc.isenabled())  # the thread has not enabled it
    assert enabled == [False, False]
    assert gc.isenabled()


def test_a_collector_that_the_user_disabled_stays_disabled() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
