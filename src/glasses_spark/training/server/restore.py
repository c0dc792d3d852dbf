"""Restore: takes the state of a fit apart and puts it together again."""

from __future__ import annotations

from glasses_spark.training.server.calls import EpochDecision
from glasses_spark.training.server.common_step import CommonStep
from glasses_spark.training.server.fit_state import FitState, ledger_name, own_name
from glasses_spark.training.server.ledgers import OpenLedgers
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.server.state import WorkerStates


def state_of(
    workers: WorkerStates,
    common_step: CommonStep,
    ledgers: OpenLedgers,
    shared_weights: SharedWeights,
    *,
    decision: EpochDecision,
) -> FitState:
    """Return the state of a fit between two steps, with copies of all arrays."""
    epochs = ledgers.arrays()
    own = shared_weights.own_optimizers.states()
    return FitState(
        workers=workers.progress(),
        position=common_step.position,
        version=shared_weights.version,
        decision=decision,
        ledgers=tuple(epochs),
        arrays={
            **shared_weights.arrays(),
            **{
                ledger_name(epoch, name): array
                for epoch, arrays in epochs.items()
                for name, array in arrays.items()
            },
            **{
                own_name(worker, count, part): vector
                for (worker, count), parts in own.items()
                for part, vector in enumerate(parts)
            },
        },
    )


def restore_state(
    state: FitState,
    workers: WorkerStates,
    common_step: CommonStep,
    ledgers: OpenLedgers,
    shared_weights: SharedWeights,
) -> None:
    """Let a new fit continue from the state of another one with the same schedule.

    Raises:
        TrainingError: The state is that of another fit.
    """
    workers.restore(state.workers)
    common_step.position = state.position
    for epoch in state.ledgers:
        ledgers.restore(epoch, state.ledger(epoch))
    shared_weights.restore(state.arrays, state.own_optimizers(), state.version)
