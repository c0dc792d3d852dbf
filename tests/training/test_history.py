"""Tests for glasses_spark.training.history."""

from __future__ import annotations

import numpy as np

from glasses_spark.training.history import EpochLedger, EpochRecord, WorkerShare


def test_pushes_of_all_workers_are_summed() -> None:
    ledger = EpochLedger(2, 1)
    ledger.enter_push(0, 8, np.array([2.0]), 0)
    ledger.enter_push(1, 4, np.array([3.0]), 1)
    ledger.enter_push(1, 3, np.array([1.0]), 2)
    ledger.enter_finish(1, np.array([5.0]), seconds=2.5, waiting=0.5)

    totals = ledger.totals(epoch=4)

    assert (totals.epoch, totals.rows) == (4, 15)
    assert totals.metric_state.tolist() == [6.0]
    assert totals.validation_state.tolist() == [5.0]
    assert totals.workers == (
        WorkerShare(0, 8, 0.0, 0.0, 0.0),
        WorkerShare(1, 7, 2.5, 0.5, 1.5),
    )
    assert ledger.finished == {1}


def test_a_record_is_written_as_in_history_json() -> None:
    record = EpochRecord(1, {"loss": 0.5}, 8, (WorkerShare(0, 8, 1.23456, 0.00001, 1 / 3),))
    assert record.as_dict() == {
        "epoch": 1,
        "loss": 0.5,
        "rows": 8,
        "workers": [
            {
                "worker": 0,
                "rows": 8,
                "seconds": 1.2346,
                "waiting_seconds": 0.0,
                "staleness": 0.3333,
            }
        ],
    }
