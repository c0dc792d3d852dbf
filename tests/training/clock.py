"""A clock for tests of what happens after some time."""

from __future__ import annotations


class Clock:
    """Returns seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
