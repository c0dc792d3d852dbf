"""Tests for glasses_spark.runtime.keras."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


BARE = """
import sys
from glasses_spark.runtime.keras import import_bare_keras
keras = import_bare_keras()
print(sorted(name for name in ("IPython", "matplotlib", "scipy", "sklearn") if name in sys.modules))
import scipy
print(scipy.__name__)
"""


@pytest.mark.slow
def test_a_bare_import_leaves_out_optional_packages_which_can_be_imported_later() -> None:
    assert run(BARE).splitlines() == ["[]", "scipy"]
