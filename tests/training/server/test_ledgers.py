"""Tests for glasses_spark.training.server.ledgers."""

from __future__ import annotations

import numpy as np

from glasses_spark.training.history import EpochTotals
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import EpochEnd
from glasses_spark.training.server.ledgers import OpenLedgers


def test_totals_are_returned_after_the_last_worker() -> None:
    # The third worker has no rows.
    ledgers = OpenLedgers(Schedule("asynchronous", "batch", 2, 4, (4, 2, 0), (0, 0, 0)), 2)
    ledgers.enter_push(0, 0, rows=4, metric_state=np.array([1.0, 2.0]), staleness=0)
    assert finish(ledgers, epoch=0, worker=0) is None
    # The first worker is an epoch ahead.
    ledgers.enter_push(1, 0, rows=4, metric_state=np.array([100.0, 100.0]), staleness=0)
    ledgers.enter_push(0, 1, rows=2, metric_state=np.array([3.0, 4.0]), staleness=1)

    totals = finish(ledgers, epoch=0, worker=1)

    assert totals is not None
    assert totals.epoch == 0
    assert [share.rows for share in totals.workers] == [4, 2, 0]
    assert [share.staleness for share in totals.workers] == [0.0, 1.0, 0.0]
    assert [share.waiting_seconds for share in totals.workers] == [0.5, 0.5, 0.0]
    assert totals.metric_state.tolist() == [4.0, 6.0]
    assert totals.validation_state.tolist() == [20.0, 40.0]


def finish(ledgers: OpenLedgers, *, epoch: int, worker: int) -> EpochTotals | None:
    state = np.array([10.0, 20.0])
    ledgers.enter_finish(epoch, worker, EpochEnd(epoch, state, seconds=2.0, waiting=0.5))
    return ledgers.pop_finished()
