"""Tests for glasses_spark.scoring.model_input."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.model_input import model_input, scale_pixels

import_keras()
import tensorflow as tf  # noqa: E402

PIXELS = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scaled_pixels_keep_their_type(dtype: str) -> None:
    scaled = scale_pixels(np.array([0, 51, 255], dtype))
    assert scaled.dtype == dtype
    assert scaled.tolist() == np.array([0.0, 0.2, 1.0], dtype).tolist()


def test_an_array_of_bytes_gives_float64() -> None:
    assert scale_pixels(np.array([0, 51, 255], np.uint8)).tolist() == [0.0, 0.2, 1.0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_pixels_become_numbers_in_the_range_from_0_to_1(dtype: str) -> None:
    numbers = model_input(PIXELS[None], (16, 16, 1), dtype)
    assert numbers.shape == (1, 16, 16, 1)
    assert numbers.dtype == dtype
    flat = tf.cast(tf.reshape(numbers, [-1]), tf.float64).numpy()
    assert (flat[0], flat[255]) == (0.0, 1.0)
    np.testing.assert_allclose(flat, PIXELS / 255, rtol=2**-8)


def test_a_model_of_integers_takes_pixels_unchanged() -> None:
    assert model_input(PIXELS[None], (256,), "int32").numpy().tolist() == [list(range(256))]


def test_other_features_are_not_scaled() -> None:
    features = np.array([[0.0, 100.0, 255.0, 1.0]])
    assert model_input(features, (2, 2), "float32").numpy().tolist() == [[[0, 100], [255, 1]]]


def test_a_traced_function_gives_the_numbers_of_an_eager_call() -> None:
    traced = tf.function(lambda x: model_input(x, (256,), "float32"))
    eager = model_input(PIXELS[None], (256,), "float32")
    np.testing.assert_allclose(traced(PIXELS[None]), eager, rtol=1e-7)
