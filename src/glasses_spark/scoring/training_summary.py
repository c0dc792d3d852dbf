"""Training summary: what a fit did, as the ``summary`` of Spark ML's own models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from glasses_spark.errors import ScoringError


@dataclass(frozen=True)
class TrainingSummary:
    """What a fit did.

    Attributes:
        history: One dictionary per epoch, as in ``history.json``.
        total_iterations: Number of epochs.
        rows: Training rows of an epoch.
        workers: Number of workers with rows.
        seconds: Seconds of training without the start: of each epoch those of its slowest
            worker.
    """

    history: Sequence[dict[str, Any]]
    total_iterations: int
    rows: int
    workers: int
    seconds: float

    @property
    def totalIterations(self) -> int:
        """Number of epochs, by the name that Spark ML has for it."""
        return self.total_iterations

    @property
    def objective_history(self) -> list[float]:
        """Training loss after each epoch."""
        return [float(epoch["loss"]) for epoch in self.history]

    @property
    def objectiveHistory(self) -> list[float]:
        """Training loss after each epoch, by the name that Spark ML has for it."""
        return self.objective_history

    @classmethod
    def of(cls, history: Sequence[dict[str, Any]]) -> Self:
        """Return the summary of a history with at least one epoch."""
        shares = [epoch.get("workers", []) for epoch in history]
        return cls(
            history=history,
            total_iterations=len(history),
            rows=int(history[-1].get("rows", 0)),
            workers=len(shares[-1]),
            seconds=sum(max((share["seconds"] for share in each), default=0.0) for each in shares),
        )


class HasTrainingSummary:
    """Mixin of a fitted model: its estimator and the summary of its fit, as in Spark ML."""

    history: Any
    _parent: Any = None

    @property
    def parent(self) -> Any:
        """The estimator that fitted the model, with the Params of the fit; None after loading."""
        return self._parent

    @property
    def hasParent(self) -> bool:
        """Whether the estimator that fitted the model is known."""
        return self._parent is not None

    @property
    def hasSummary(self) -> bool:
        """Whether the model has the history of its fit."""
        return bool(self.history)

    @property
    def summary(self) -> TrainingSummary:
        """What the fit did.

        Raises:
            ScoringError: The model has no history, like one that was made from weights.
        """
        if not self.hasSummary:
            raise ScoringError("the model has no history of a fit, so it has no summary")
        return TrainingSummary.of(self.history)
