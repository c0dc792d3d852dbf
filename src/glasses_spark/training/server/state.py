"""State of the workers, as the coordinator keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from glasses_spark.errors import TrainingError
from glasses_spark.training.server.protocol import CallEndedError


class FitEndedError(CallEndedError):
    """The fit is over, or this attempt of a task was replaced by a newer one."""


class NotYetError(TrainingError):
    """What a worker waits for has not come; it asks again, and so shows that it is there."""


@dataclass(frozen=True)
class Position:
    """Where a worker goes on: the epoch, and the next step in it."""

    epoch: int
    step: int


@dataclass(frozen=True)
class Verdict:
    """What the driver decided at the end of an epoch."""

    stop: bool
    learning_rate: float | None


@dataclass
class WorkerState:
    attempt: int = -1
    host: str = ""
    epoch: int = 0
    step: int = 0
    pulled_version: int = 0
    last_heard: float | None = None
    gone: bool = False
