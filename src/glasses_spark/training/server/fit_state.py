"""Fit state: everything that a fit needs to go on from between two pushes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.training.server.calls import EpochDecision, Position, RandomStates

_OWN: Final = re.compile(r"own-(\d+)-(\d+)-(\d+)")

Arrays = Mapping[str, npt.NDArray[Any]]

# Arrays of an epoch that is not finished, and of one that the driver has not taken, by worker.
LEDGER_ARRAYS: Final = (
    *("rows", "seconds", "waiting", "staleness", "pushes"),
    *("metric_state", "validation_state", "finished"),
)


@dataclass(frozen=True)
class WorkerProgress:
    """Next step of a worker, and the state of its random generators before it."""

    position: Position
    random_states: RandomStates


@dataclass(frozen=True)
class FitState:
    """State of a fit.

    Attributes:
        workers: Progress of each worker.
        position: Step that all synchronous workers are in.
        version: Version of the shared weights.
        decision: Decision for the epoch that the workers are in.
        ledgers: Numbers of the epochs that have pushes and are not in the history.
        arrays: Shared weights, states of the optimizers, and sums of the ledgers.
    """

    workers: tuple[WorkerProgress, ...]
    position: Position
    version: int
    decision: EpochDecision
    ledgers: tuple[int, ...]
    arrays: Arrays

    def as_dict(self) -> dict[str, Any]:
        """Return all but the arrays, as JSON has it."""
        return {
            "workers": [
                {
                    "epoch": worker.position.epoch,
                    "step": worker.position.step,
                    "random": [list(state) for state in worker.random_states],
                }
                for worker in self.workers
            ],
            "epoch": self.position.epoch,
            "step": self.position.step,
            "version": self.version,
            "learning_rate": self.decision.learning_rate,
            "stop": self.decision.stop,
            "ledgers": list(self.ledgers),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Arrays) -> FitState:
        """Return the state from the result of `as_dict`, and the arrays.

        Raises:
            TrainingError: A value is missing or is not of its type.
        """
        try:
            rate = values["learning_rate"]
            return cls(
                workers=tuple(_worker(worker) for worker in values["workers"]),
                position=Position(_count(values["epoch"]), _count(values["step"])),
                version=_count(values["version"]),
                decision=EpochDecision(bool(values["stop"]), None if rate is None else float(rate)),
                ledgers=tuple(_count(epoch) for epoch in values["ledgers"]),
                arrays=arrays,
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise TrainingError(
                f"the checkpoint does not describe a fit: {error}. Delete it"
            ) from error

    def own_optimizers(self) -> dict[tuple[int, int, int], npt.NDArray[Any]]:
        """Return the vectors of the workers' own optimizers by worker, epochs and part."""
        named = {name: _OWN.fullmatch(name) for name in self.arrays}
        return {
            (int(match[1]), int(match[2]), int(match[3])): self.arrays[name]
            for name, match in named.items()
            if match
        }

    def ledger(self, epoch: int) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of an epoch by name."""
        try:
            return {name: np.array(self.arrays[ledger_name(epoch, name)]) for name in LEDGER_ARRAYS}
        except KeyError as error:
            raise TrainingError(f"the checkpoint lacks the array {error}. Delete it") from error


def own_name(worker: int, epochs: int, part: int) -> str:
    """Return the name of a part of the state of a worker's own optimizer after some epochs."""
    return f"own-{worker}-{epochs}-{part}"


def ledger_name(epoch: int, name: str) -> str:
    """Return the name of an array of an epoch."""
    return f"ledger-{epoch}-{name}"


def _worker(values: Mapping[str, Any]) -> WorkerProgress:
    random_states = [(_count(first), _count(second)) for first, second in values["random"]]
    return WorkerProgress(Position(_count(values["epoch"]), _count(values["step"])), random_states)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a whole number of at least 0, got {value!r}")
    return value
