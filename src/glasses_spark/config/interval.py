"""Interval: the setting of how often a fit writes a checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from glasses_spark.config.fields import Kind

EVERY_EPOCH: Final = "epoch"
NEVER: Final = "never"
WANTED: Final = (
    '"epoch", a number of steps such as "500 steps", of seconds such as "60 seconds", or "never"'
)
_FORM: Final = re.compile(r"([1-9]\d*) (steps?|seconds?)")


@dataclass(frozen=True)
class Interval:
    """Interval between two checkpoints.

    Attributes:
        steps: Number of pushes of all workers; 0 if it does not matter.
        seconds: Number of seconds; 0 if it does not matter.
        is_never: Whether there are no checkpoints.
    """

    steps: int = 0
    seconds: float = 0.0
    is_never: bool = False

    def is_over(self, *, steps: int, seconds: float) -> bool:
        """Return whether a checkpoint is due within an epoch.

        Args:
            steps: Pushes since the last checkpoint.
            seconds: Seconds since the last checkpoint.
        """
        return 0 < self.steps <= steps or 0 < self.seconds <= seconds

    @property
    def is_epoch(self) -> bool:
        """Whether each epoch ends with a checkpoint, and nothing else does."""
        return not (self.steps or self.seconds or self.is_never)


def interval() -> Kind:
    """Return the kind of texts that `parse_interval` accepts."""

    def parse(value: object) -> object:
        parse_interval(value)
        return value

    return Kind(WANTED, parse)


def parse_interval(text: object) -> Interval:
    """Return the interval of a setting.

    Raises:
        ValueError: The text has none of the `WANTED` forms.
    """
    if text == EVERY_EPOCH:
        return Interval()
    if text == NEVER:
        return Interval(is_never=True)
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"expected {WANTED}, got {text!r}")
    number = int(match[1])
    return Interval(steps=number) if match[2].startswith("step") else Interval(seconds=number)
