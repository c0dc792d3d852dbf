"""Tests for glasses_spark.runtime.keras, each in a process that has not imported TensorFlow yet."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest

from glasses_spark.runtime.keras import collector_paused

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, threading
from glasses_spark.runtime.keras import import_keras

thread = threading.Thread(target=import_keras)
thread.start()
said = 0
while thread.is_alive():
    sys.stderr.write("meanwhile\\n")
    said += 1
    thread.join(0.2)
print("afterwards", file=sys.stderr)
print(said, "tensorflow" in sys.modules)
"""

LATE = """
import os, sys
from glasses_spark.runtime.keras import import_keras

import_keras()
files = [open(os.devnull) for _ in range(20)]  # they take the numbers that are free
import absl.logging

absl.logging.get_absl_handler().python_handler.stream.write("late news\\n")
"""


REPLACED = """
import io, sys, threading
from glasses_spark.runtime.keras import import_keras

thread = threading.Thread(target=import_keras)
thread.start()
while "tensorflow" not in sys.modules:
    pass
mine = sys.stderr = io.StringIO()
thread.join()
print(sys.stderr is mine)
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={k: v for k, v in environment.items() if k != "GLASSES_SPARK_NATIVE_STDERR"},
    )


def test_what_is_logged_later_goes_to_standard_error_and_nowhere_else() -> None:
    assert run(LATE).stderr == "late news\n"


def test_an_import_is_silent_and_other_threads_are_not_silenced() -> None:
    done = run(SCRIPT)
    said, imported = done.stdout.split()
    assert imported == "True"
    assert int(said) > 2
    *meanwhile, afterwards = done.stderr.split()
    assert afterwards == "afterwards"
    assert set(meanwhile) == {"meanwhile"}  # and nothing that TensorFlow has to say
    # One word may be on its way when the descriptor changes.
    assert int(said) - 1 <= len(meanwhile) <= int(said)


def test_who_replaces_standard_error_meanwhile_keeps_his_own() -> None:
    assert run(REPLACED).stdout == "True\n"


def test_the_collector_rests_during_an_import_and_works_again_after_it() -> None:
    def other_thread() -> None:
        with collector_paused():
            found.append(gc.isenabled())

    found: list[bool] = []
    with collector_paused():
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        found.append(gc.isenabled())  # the thread has not woken it
    assert found == [False, False]
    assert gc.isenabled()


def test_a_collector_that_the_user_has_put_to_rest_is_left_so() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
