"""Tests for glasses_spark.datasets.drawn.features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glasses_spark.datasets.drawn.canvas import Canvas, Image
from glasses_spark.datasets.drawn.features import draw_features, draw_front_hair
from glasses_spark.datasets.drawn.sitter import Sitter

SITTER = replace(Sitter.random(np.random.default_rng(0)), hair_style="short", hat=None)


def front_hair(sitter: Sitter) -> Image:
    canvas = Canvas.posed(128, np.random.default_rng(0))
    draw_front_hair(canvas, sitter, np.random.default_rng(0))
    return canvas.image


def test_features_are_in_the_middle_of_the_canvas() -> None:
    canvas = Canvas.posed(128, np.random.default_rng(0))

    draw_features(canvas, SITTER, np.random.default_rng(0))

    drawn = canvas.image.any(axis=2)
    assert drawn[32:112, 32:96].any()
    assert not drawn[:10].any()


@pytest.mark.parametrize("style", ["fringe", "parted", "long", "short", "curly"])
def test_every_hair_style_is_drawn(style: str) -> None:
    assert front_hair(replace(SITTER, hair_style=style)).any()


def test_a_bald_head_has_no_hair_but_may_have_a_hat() -> None:
    bald = replace(SITTER, hair_style="bald")

    assert not front_hair(bald).any()
    assert front_hair(replace(bald, hat=(200, 10, 10))).any()
