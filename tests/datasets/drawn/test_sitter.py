"""Tests for glasses_spark.datasets.drawn.sitter."""

from __future__ import annotations

import numpy as np

from glasses_spark.datasets.drawn.sitter import Generators, Sitter


def test_each_part_has_its_own_random_numbers() -> None:
    hair, glasses = (Generators(0, 1).of(part).random(5) for part in ("hair", "glasses"))

    assert np.array_equal(Generators(0, 1).of("hair").random(5), hair)
    assert not np.array_equal(hair, glasses)
    assert not np.array_equal(Generators(0, 2).of("hair").random(5), hair)
    assert not np.array_equal(Generators(1, 1).of("hair").random(5), hair)


def test_a_larger_outline_contains_the_smaller() -> None:
    sitter = Sitter.random(np.random.default_rng(0))

    inner, outer = sitter.outline(), sitter.outline(0.1)

    assert inner.shape == (72, 2)
    assert (outer.max(axis=0) > inner.max(axis=0)).all()
    assert (outer.min(axis=0) < inner.min(axis=0)).all()
