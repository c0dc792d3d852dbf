"""Signals: SIGTERM and SIGHUP end work in an orderly way."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)

# The convention of shells for the exit code of a process that a signal has ended.
_EXIT_CODE: Final = 128


class Signals:
    """Takes SIGTERM and SIGHUP where they would end the process, as a context manager.

    Handlers of the user's, and signals that the process ignores (as with ``nohup``), stay.
    Without effect outside the main thread, which alone receives signals.

    Args:
        at_once: Whether a signal raises SystemExit where the program is, else in
            ``exit_if_received``.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self._at_once = at_once
        self._chosen: list[signal.Signals] = []
        self._received: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._chosen = [each for each in _SIGNALS if signal.getsignal(each) is signal.SIG_DFL]
        for number in self._chosen:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._chosen:
            signal.signal(number, signal.SIG_DFL)

    def exit_if_received(self) -> None:
        """Raise SystemExit if one of the signals came; its code is that of shells."""
        if self._received is not None:
            raise SystemExit(_EXIT_CODE + self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # The second one ends work that does not come to the point where it would exit.
        self.exit_if_received()
        self._received = number
        if self._at_once:
            self.exit_if_received()
