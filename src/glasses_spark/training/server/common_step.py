"""Common step: the step that all synchronous workers are in, and their updates for it."""

from __future__ import annotations

from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import Position
from glasses_spark.training.weights import Vector


class CommonStep:
    """Collects one update from each worker that has rows in the step.

    Not thread-safe: the coordinator calls it with its lock held.

    Args:
        schedule: Steps and rows of each worker.

    Attributes:
        position: Epoch and step that the workers are in.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.position = Position(0, 0)
        self._schedule = schedule
        self._updates: dict[int, tuple[Vector, int]] = {}

    def add(self, worker: int, update: Vector, rows: int) -> list[tuple[int, Vector, int]]:
        """Add a worker's update, and begin the next step after the last one.

        Args:
            worker: Number of the worker, from 0.
            update: Gradient or delta, ``(size,)``.
            rows: Number of rows behind the update.

        Returns:
            Number, update and row count of each worker, in the order of the numbers; empty
            while updates are missing.
        """
        self._updates[worker] = (update, rows)
        step = self.position.step
        due = [
            number
            for number in range(self._schedule.workers)
            if step < self._schedule.steps(number)
        ]
        if any(number not in self._updates for number in due):
            return []
        complete = [(number, *self._updates[number]) for number in due]
        self._updates.clear()
        self.position = Position(self.position.epoch, step + 1)
        return complete

    def is_between_steps(self) -> bool:
        """Return whether no worker has sent its update for the step."""
        return not self._updates

    def begin_next_epoch(self) -> None:
        """Move all workers to the first step of the next epoch."""
        self.position = Position(self.position.epoch + 1, 0)
