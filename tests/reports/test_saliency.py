"""Tests for glasses_spark.reports.saliency."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.reports.saliency import Pictures, occlusion_maps, overlay
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.predictor import Predictor


def bright_spots(pictures: Pictures) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return logits that depend on two spots: evidence for class 1, and against it."""
    grey = pictures.astype(np.float64) / 255
    return np.asarray(
        2 * grey[:, 4:8, 4:8].mean(axis=(1, 2)) - 3 * grey[:, 20:24, 30:34].mean(axis=(1, 2))
    )


def spotted_picture() -> Pictures:
    picture = np.zeros((32, 40), np.uint8)
    picture[4:8, 4:8] = 255
    picture[20:24, 30:34] = 255
    return picture[None]


def test_the_map_is_strongest_at_the_spots() -> None:
    [evidence] = occlusion_maps(bright_spots, spotted_picture())

    assert evidence.shape == (32, 40)
    assert evidence.dtype == np.float32
    y, x = np.unravel_index(evidence.argmax(), evidence.shape)
    # Within half a patch of 6 x 8.
    assert abs(y - 5.5) <= 3
    assert abs(x - 5.5) <= 5
    y, x = np.unravel_index(evidence.argmin(), evidence.shape)
    assert abs(y - 21.5) <= 3
    assert abs(x - 31.5) <= 5
    # The blur removes a large part of a spot, but no more than all of it.
    assert 0.5 < evidence.max() <= 2
    assert -3 <= evidence.min() < -0.75


def test_blurring_a_smooth_region_adds_no_edges() -> None:
    def edges(pictures: Pictures) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(np.abs(np.diff(pictures.astype(np.float64))).sum(axis=(1, 2)))

    # A patch of constant grey would add edges to this gradient.
    slope = np.tile(np.linspace(0, 234, 40).astype(np.uint8), (32, 1))[None]
    assert np.abs(occlusion_maps(edges, slope)).max() < 0.02 * edges(slope)[0]


def test_the_overlay_is_transparent_without_evidence() -> None:
    def constant(pictures: Pictures) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.full(len(pictures), 4.0)

    [evidence] = occlusion_maps(constant, spotted_picture())
    assert not evidence.any()
    assert not overlay(evidence, glasses="#ff0000", none="#0000ff")[..., 3].any()


def test_each_picture_has_its_own_map() -> None:
    first = spotted_picture()
    second = first[:, ::-1].copy()
    maps = occlusion_maps(bright_spots, np.concatenate([first, second]))
    assert np.array_equal(maps[0], occlusion_maps(bright_spots, first)[0])
    assert np.array_equal(maps[1], occlusion_maps(bright_spots, second)[0])


@pytest.mark.parametrize("size", [(16, 16), (128, 128), (1024, 17), (300, 1024)])
def test_every_pixel_is_covered_with_a_bounded_number_of_pictures(size: tuple[int, int]) -> None:
    scored = 0

    def count(pictures: Pictures) -> np.ndarray[Any, np.dtype[np.float64]]:
        nonlocal scored
        scored += len(pictures)
        assert pictures.nbytes <= 2**22
        return np.zeros(len(pictures))

    [evidence] = occlusion_maps(count, np.zeros((1, *size), np.uint8))
    assert np.isfinite(evidence).all()
    assert 26 <= scored <= 101


def test_no_pictures_have_no_maps() -> None:
    assert occlusion_maps(bright_spots, np.zeros((0, 32, 40), np.uint8)).shape == (0, 32, 40)


def test_the_colour_shows_the_direction_and_the_opacity_the_strength() -> None:
    evidence = np.array([[2.0, -1.0], [0.0, 1.0]], np.float32)
    picture = overlay(evidence, glasses="#0a0b0c", none="#f0f1f2")

    assert picture[0, 0].tolist() == [10, 11, 12, 178]
    assert picture[0, 1].tolist() == [240, 241, 242, 63]
    assert picture[1, 0, 3] == 0
    assert picture[1, 1].tolist() == [10, 11, 12, 63]


def test_maps_of_a_keras_model_use_logits() -> None:
    keras = import_keras()
    layer = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((32, 40, 1)), keras.layers.Flatten(), layer])
    weights = np.zeros((32, 40), np.float32)
    # The probability is 1 in float32, with and without the patch.
    weights[4:8, 4:8] = 10
    layer.set_weights([weights.reshape(-1, 1), np.array([100.0], np.float32)])
    predictor = Predictor(model, with_logits=True)

    [evidence] = occlusion_maps(
        lambda pictures: predictor.predict(pictures.reshape(len(pictures), -1))[1][:, 0],
        spotted_picture(),
    )
    assert evidence[5, 5] > 50
    assert evidence[25, 20] == pytest.approx(0, abs=1e-3)
