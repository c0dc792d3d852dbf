"""Tests for glasses_spark.datasets.drawn.canvas."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.datasets.drawn.canvas import Canvas, Points, curve, grey, mix, oval

RED = (255, 0, 0)


def square_canvas() -> Canvas:
    """Return a black canvas of 20 x 20 pixels, 10 pixels per unit, the origin in the middle."""
    return Canvas(np.zeros((20, 20, 3), np.uint8), np.array([[10.0, 0, 10], [0, 10, 10]]))


SQUARE: Points = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


def test_a_filled_shape_is_at_its_position_in_face_units() -> None:
    canvas = square_canvas()

    canvas.fill(SQUARE, RED)

    assert canvas.image[10, 10].tolist() == [255, 0, 0]
    assert canvas.image[2, 2].tolist() == [0, 0, 0]
    assert canvas.image[10, 17].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("strength", "red"), [(0.0, 0), (0.5, 128), (1.0, 255)])
def test_a_glaze_is_as_opaque_as_its_strength(strength: float, red: int) -> None:
    canvas = square_canvas()

    canvas.glaze(SQUARE, RED, strength)

    assert canvas.image[10, 10].tolist() == [pytest.approx(red, abs=1), 0, 0]


def test_a_glaze_outside_the_canvas_changes_nothing() -> None:
    canvas = square_canvas()

    canvas.glaze(SQUARE + 9.0, RED, 1.0)

    assert not canvas.image.any()


def test_a_layer_shows_the_same_scene_in_a_smaller_image() -> None:
    layer = square_canvas().layer(2, 7)

    layer.fill(SQUARE, 200)

    assert layer.image.shape == (10, 10)
    assert (layer.image[5, 5], layer.image[1, 1]) == (200, 7)


def test_a_curve_starts_and_ends_at_its_outer_control_points() -> None:
    points = curve((0, 0), (1, 5), (2, 0), steps=5)

    assert points[[0, -1]].tolist() == [[0, 0], [2, 0]]
    assert points[2].tolist() == [1, 2.5]


def test_an_oval_has_its_radii() -> None:
    points = oval(1, 2, 3, 4)

    assert points.min(axis=0) == pytest.approx([-2, -2])
    assert points.max(axis=0) == pytest.approx([4, 6])


def test_colours_are_mixed_by_share() -> None:
    assert mix((0, 0, 0), (100, 200, 50), 0.5) == (50, 100, 25)
    assert grey((255, 255, 255)) == pytest.approx(255)
