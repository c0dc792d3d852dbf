"""Tests for glasses_spark.training.server.updates."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.training.server.updates import is_usable, weighted_mean


@pytest.mark.parametrize("size", [1, 3, (1 << 16) + 1, (1 << 20) + 12345])
@pytest.mark.parametrize("rows", [[5], [4, 1], [3, 2, 7, 1, 1]])
def test_it_is_the_sum_of_the_shares_in_order_whatever_the_length(
    size: int, rows: list[int]
) -> None:
    generator = np.random.default_rng(0)
    updates = [generator.normal(size=size).astype(np.float32) for _ in rows]
    expected = np.zeros(size, np.float32)
    for update, count in zip(updates, rows, strict=True):
        expected += update * np.float32(count / sum(rows))
    mean = weighted_mean(updates, rows)
    assert mean is not None
    assert np.array_equal(mean, expected)
    start = generator.normal(size=size).astype(np.float32)
    after = weighted_mean(updates, rows, start=start)
    assert after is not None
    assert np.array_equal(after, start - expected)


def test_it_keeps_the_type_and_leaves_the_updates_as_they_are() -> None:
    updates = [np.array([1.0, 2.0]), np.array([3.0, 6.0])]
    mean = weighted_mean(updates, [1, 1])
    assert mean is not None
    assert mean.dtype == np.float64
    assert mean.tolist() == [2.0, 4.0]
    assert updates[0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("index", [0, 4, 9])
def test_numbers_that_are_not_finite_or_too_large_are_found(value: float, index: int) -> None:
    update = np.zeros(10, np.float32)
    assert is_usable(update)
    update[index] = value
    assert not is_usable(update)


def test_no_numbers_are_usable() -> None:
    assert is_usable(np.zeros(0, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("index", [0, 1 << 16, (1 << 20) + 6])
def test_there_is_no_mean_of_numbers_that_are_not_usable(value: float, index: int) -> None:
    updates = [np.zeros((1 << 20) + 7, np.float32) for _ in range(3)]
    updates[1][index] = value
    assert weighted_mean(updates, [1, 2, 3]) is None
