"""Tests for glasses_spark.datasets.drawn.glasses; test_face tests them in a portrait."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glasses_spark.datasets.drawn.canvas import Canvas, grey
from glasses_spark.datasets.drawn.glasses import (
    GlassesFrame,
    draw_doubtful_glasses,
    draw_glasses,
)
from glasses_spark.datasets.drawn.sitter import Sitter

Draw = Callable[[Canvas, Sitter, np.random.Generator], None]


def draw_random(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    draw_glasses(canvas, GlassesFrame.random(rng, sitter), sitter)


@pytest.mark.parametrize("seed", range(20))
def test_a_rim_differs_from_the_skin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sitter = Sitter.random(rng)

    frame = GlassesFrame.random(rng, sitter)

    assert abs(grey(frame.rim) - grey(sitter.skin)) > 25


@pytest.mark.parametrize("draw", [draw_random, draw_doubtful_glasses])
def test_glasses_change_the_face(draw: Draw) -> None:
    for seed in range(5):
        canvas = Canvas.posed(128, np.random.default_rng(seed))
        canvas.image[:] = 127
        rng = np.random.default_rng(seed)

        draw(canvas, Sitter.random(rng), rng)

        assert (canvas.image != 127).any(axis=2).mean() > 0.005
