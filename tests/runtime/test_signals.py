"""Tests for glasses_spark.runtime.signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from glasses_spark.runtime.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_exits_at_the_next_occasion_with_the_code_of_shells(
    number: signal.Signals,
) -> None:
    with Signals() as signals:
        signals.exit_if_received()
        signal.raise_signal(number)
        with pytest.raises(SystemExit) as raised:
            signals.exit_if_received()
    assert raised.value.code == 128 + number
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.fixture(autouse=True)
def _default_signals() -> Iterator[None]:
    """Let the signals end the process, also under nohup, which ignores one."""
    before = {n: signal.signal(n, signal.SIG_DFL) for n in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_second_signal_exits_at_once() -> None:
    with Signals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGHUP)


def test_work_that_is_to_end_at_once_exits_where_it_is() -> None:
    with Signals(at_once=True), pytest.raises(SystemExit) as raised:
        signal.raise_signal(signal.SIGTERM)
    assert raised.value.code == 128 + signal.SIGTERM


def test_ignored_signals_and_handlers_of_the_user_stay() -> None:
    received: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with Signals() as signals:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            signals.exit_if_received()
        assert received == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_other_threads_leave_the_signals_alone() -> None:
    def look() -> object:
        with Signals():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(look).result() is signal.SIG_DFL
