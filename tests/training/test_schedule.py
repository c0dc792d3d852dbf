"""Tests for glasses_spark.training.schedule."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.training.schedule import Schedule, epoch_order, share


def schedule(**changes: object) -> Schedule:
    settings = {
        "mode": "synchronous",
        "frequency": "batch",
        "epochs": 2,
        "batch_size": 4,
        "rows": (9, 8, 0),
        "validation_rows": (0, 0, 1),
    }
    return Schedule(**{**settings, **changes})  # type: ignore[arg-type]


def test_a_small_last_batch_is_a_step_of_its_own() -> None:
    plan = schedule()
    assert [plan.steps(worker) for worker in range(3)] == [3, 2, 0]
    assert [plan.rows_in_push(0, step) for step in range(3)] == [4, 4, 1]


def test_with_frequency_epoch_a_worker_pushes_once_with_all_its_rows() -> None:
    plan = schedule(frequency="epoch")
    assert [plan.steps(worker) for worker in range(3)] == [1, 1, 0]
    assert plan.rows_in_push(0, 0) == 9


def test_a_worker_with_only_validation_rows_takes_part() -> None:
    assert schedule().takes_part(2)
    assert not schedule(validation_rows=(0, 0, 0)).takes_part(2)


@pytest.mark.parametrize(("rows", "workers"), [(0, 3), (2, 3), (10, 3), (9, 3), (7, 1)])
def test_rows_are_distributed_equally_to_within_one(rows: int, workers: int) -> None:
    shares = share(rows, workers)
    assert sum(shares) == rows
    assert len(shares) == workers
    assert max(shares) - min(shares) <= 1


def test_each_epoch_and_worker_has_its_own_order_of_all_rows() -> None:
    orders = {
        (worker, epoch): tuple(epoch_order(50, seed=3, worker=worker, epoch=epoch))
        for worker in range(2)
        for epoch in range(2)
    }
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    assert len(set(orders.values())) == 4
    again = epoch_order(50, seed=3, worker=1, epoch=1)
    assert np.array_equal(again, orders[1, 1])
