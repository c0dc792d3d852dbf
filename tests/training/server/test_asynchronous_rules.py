"""Tests for glasses_spark.training.server.asynchronous_rules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from glasses_spark.training.server.asynchronous_rules import (
    EveryUpdate,
    ScaledDeltas,
    ScaledRate,
    SharedBatch,
    rule_of,
    update_rows,
)
from glasses_spark.training.settings import FitSettings

SIZE = 3


def shared(batch_size: int, rows: int) -> SharedBatch:
    return SharedBatch(SIZE, "float32", batch_size=batch_size, rows=rows)


def update(value: float) -> Any:
    return np.full(SIZE, value, np.float32)


def steps(rule: EveryUpdate, *pushes: tuple[float, int]) -> list[float | None]:
    """Push updates of given value and rows; return the value of each step, None for none."""
    found = [rule.step(update(value), rows, 0) for value, rows in pushes]
    return [None if step is None else float(step.update[0]) for step in found]


def test_a_shared_batch_is_the_mean_over_its_rows() -> None:
    assert steps(shared(8, 4), (1.0, 4), (3.0, 4), (5.0, 2), (2.0, 4)) == [None, 2.0, None, 3.0]


def test_steps_have_the_rows_of_a_batch_on_average() -> None:
    rule = shared(10, 3)  # four workers
    pushes = [(1.0, 3)] * 100
    assert len([step for step in steps(rule, *pushes) if step is not None]) == 33
    assert rule.remainder() is not None
    assert rule.remainder() is None


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_batch_of_fewer_rows_than_workers_is_a_step_for_as_many_updates(batch_size: int) -> None:
    rule = shared(batch_size, 1)
    found = steps(rule, *[(1.0, 1)] * (2 * batch_size))
    assert [value is not None for value in found] == ([False] * (batch_size - 1) + [True]) * 2


def test_overlapping_updates_are_all_counted() -> None:
    rule = shared(4000, 1)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: rule.step(update(1.0), 1, 0), range(3999)))
    assert not any(found)
    last = rule.step(update(4001.0), 1, 0)
    assert last is not None
    assert last.update.tolist() == [2.0] * SIZE


@pytest.mark.parametrize(
    ("settings", "workers", "kind", "rows"),
    [
        ({}, 4, SharedBatch, 32),
        ({"mode": "hogwild"}, 3, SharedBatch, 43),
        ({}, 1, EveryUpdate, 128),
        ({"mode": "synchronous"}, 4, EveryUpdate, 128),
        ({"staleness_aware": False}, 4, EveryUpdate, 128),
        ({"asynchronous_rule": "scaled_rate"}, 4, ScaledRate, 128),
        ({"asynchronous_rule": "scaled_rate", "frequency": "epoch"}, 4, ScaledDeltas, 128),
        ({"frequency": "epoch"}, 4, ScaledDeltas, 32),
    ],
)
def test_the_settings_choose_the_rule_and_the_rows_of_an_update(
    settings: dict[str, Any], workers: int, kind: type, rows: int
) -> None:
    fit = FitSettings(**settings)
    assert type(rule_of(fit, workers, size=SIZE, dtype="float32")) is kind
    assert update_rows(fit, workers) == rows
