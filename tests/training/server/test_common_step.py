"""Tests for glasses_spark.training.server.common_step."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import Position
from glasses_spark.training.server.common_step import CommonStep

UPDATES = [np.full(3, value, np.float32) for value in (1.0, 2.0)]


@pytest.fixture
def step() -> CommonStep:
    """Two workers with batches of 4: the first has one step per epoch, the second has two."""
    return CommonStep(Schedule("synchronous", "batch", 2, 4, (4, 6), (0, 0)))


def test_a_step_is_complete_with_the_updates_of_all_workers_in_their_order(
    step: CommonStep,
) -> None:
    assert step.add(1, UPDATES[1], 4) == []
    complete = step.add(0, UPDATES[0], 4)
    assert [rows for _, _, rows in complete] == [4, 4]
    assert [number for number, _, _ in complete] == [0, 1]
    assert all(a is b for (_, a, _), b in zip(complete, UPDATES, strict=True))
    assert step.position == Position(0, 1)


def test_a_worker_without_rows_left_is_not_waited_for(step: CommonStep) -> None:
    step.add(0, UPDATES[0], 4)
    step.add(1, UPDATES[1], 4)
    assert [rows for _, _, rows in step.add(1, UPDATES[1], 2)] == [2]
    assert step.position == Position(0, 2)


def test_the_next_epoch_begins_with_its_first_step(step: CommonStep) -> None:
    assert step.position == Position(0, 0)
    step.begin_next_epoch()
    assert step.position == Position(1, 0)
