"""Tests for glasses_spark.runtime.early_import."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from glasses_spark.runtime.early_import import imported_during
from glasses_spark.runtime.startup import Optimization


def test_imports_start_once_the_block_has_forked_a_process() -> None:
    imported = threading.Event()

    with imported_during(imported.set):
        assert not imported.is_set()
        # By way of fork, as pyspark starts the JVM: a preexec_fn rules out posix_spawn.
        subprocess.run([sys.executable, "-c", ""], check=True, preexec_fn=lambda: None)
        assert imported.wait(timeout=60)


def test_imports_start_at_the_latest_when_the_block_ends() -> None:
    imported = threading.Event()

    with imported_during(imported.set):
        pass

    assert imported.wait(timeout=60)


def test_a_failing_import_does_not_end_the_block() -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise ImportError("no such package")

    with imported_during(fail):
        pass

    assert failed.wait(timeout=60)


def test_the_switch_turns_early_imports_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Optimization.EARLY_IMPORT, "0")
    imported = threading.Event()

    with imported_during(imported.set):
        pass

    assert not imported.wait(timeout=0.5)


def test_nothing_is_imported_after_an_error_before_the_first_fork() -> None:
    imported = threading.Event()

    with pytest.raises(OSError, match="no Java"), imported_during(imported.set):
        raise OSError("no Java")

    for thread in threading.enumerate():
        if thread.name == "early-import":
            thread.join(timeout=60)
    assert not imported.is_set()
