"""Calls: what the task of some workers sends to the parameter server, and its decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glasses_spark.training.weights import Vector

# The state of each random generator of a worker's model: two numbers each.
RandomStates = Sequence[Sequence[int]]


@dataclass(frozen=True, order=True)
class Position:
    """Next step of a worker: the epoch and the step in it, both from 0."""

    epoch: int
    step: int


@dataclass(frozen=True)
class Caller:
    """The task that makes a call.

    Attributes:
        workers: Numbers of the workers that it hosts.
        attempt: Number of the attempt of the task; the highest one of a worker counts.
    """

    workers: tuple[int, ...]
    attempt: int


@dataclass(frozen=True)
class Push:
    """Update of one worker in one step.

    Attributes:
        position: Epoch and step of the update.
        rows: Number of rows behind it.
        update: Gradient or delta, ``(size,)``.
        metric_state: State of the metrics over these rows, ``(state_size,)``.
        version: Version of the weights that it was computed from.
        random_states: State of the worker's random generators after the step.
        awaited: Position whose weights the task needs next; None if it has another
            worker to compute with the same weights.
    """

    position: Position
    rows: int
    update: Vector
    metric_state: Vector
    version: int
    random_states: RandomStates = ()
    awaited: Position | None = None


@dataclass(frozen=True)
class EpochEnd:
    """End of an epoch of one worker.

    Attributes:
        epoch: Number of the epoch, from 0.
        validation_state: State of the metrics over the worker's validation rows,
            ``(state_size,)``.
        seconds: Duration of the epoch in the task.
        waiting: Seconds of it that the task waited for the server.
        random_states: State of the worker's random generators after the epoch.
        wait: Whether a synchronous call waits for the driver's decision.
    """

    epoch: int
    validation_state: Vector
    seconds: float
    waiting: float
    random_states: RandomStates = ()
    wait: bool = True


@dataclass(frozen=True)
class EpochDecision:
    """Decision of the driver after an epoch.

    Attributes:
        stop: Whether the fit ends after this epoch.
        learning_rate: Rate for the next epoch; None leaves it to the optimizer.
    """

    stop: bool
    learning_rate: float | None
