"""Tests for glasses_spark.runtime.garbage."""

from __future__ import annotations

import gc
import threading

import pytest

from glasses_spark.runtime.garbage import collector_paused, freeze_objects
from glasses_spark.runtime.startup import Optimization


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


def test_the_switch_leaves_the_collector_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Optimization.PAUSE_GC, "0")
    before = gc.get_freeze_count()

    freeze_objects()
    with collector_paused():
        assert gc.isenabled()

    assert gc.get_freeze_count() == before
