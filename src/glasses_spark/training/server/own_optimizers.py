"""Own optimizers: the states of the workers' optimizers, with ``frequency="epoch"``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final

from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.weights import Vector

# Of the last two epochs: a worker sends its state before the push of the epoch, so after a push
# that never arrived the state before it counts.
_KEPT_EPOCHS: Final = 2


class OwnOptimizers:
    """Keeps the states that workers send after their epochs.

    Not thread-safe: the coordinator calls it with its lock held.

    Args:
        count_parts: Returns the number of parts of a state, as `optimizers.pack` returns them.
    """

    def __init__(self, count_parts: Callable[[], int]) -> None:
        self._count_parts = count_parts
        # By worker and number of epochs.
        self._states: dict[int, dict[int, dict[int, Vector]]] = {}

    @cached_property
    def parts(self) -> int:
        """Number of parts of a state."""
        return self._count_parts()

    def receive(self, worker: int, epochs: int, part: int, vector: Vector) -> None:
        """Keep a part of the state that a worker's optimizer has after a number of epochs.

        Raises:
            ProtocolError: The state has no such part.
        """
        if part >= self.parts:
            raise ProtocolError(f"part: expected a number below {self.parts}, got {part}")
        states = self._states.setdefault(worker, {})
        states.setdefault(epochs, {})[part] = vector.copy()
        for old in sorted(states)[:-_KEPT_EPOCHS]:
            del states[old]

    def latest(self) -> list[Vector]:
        """Return the parts of the last state of the first worker that sent one; may be empty."""
        if not self._states:
            return []
        worker = min(self._states)
        return self.after(worker, max(self._states[worker]))

    def states(self) -> dict[tuple[int, int], list[Vector]]:
        """Return the parts of all complete states by worker and number of epochs."""
        keys = [(worker, epochs) for worker, kept in self._states.items() for epochs in kept]
        return {key: parts for key in keys if (parts := self.after(*key))}

    def after(self, worker: int, epochs: int) -> list[Vector]:
        """Return the parts of a worker's state after a number of epochs; empty if unknown."""
        received = self._states.get(worker, {}).get(epochs, {})
        return [received[part] for part in sorted(received)] if len(received) == self.parts else []
