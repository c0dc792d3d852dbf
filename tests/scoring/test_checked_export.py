"""Tests for glasses_spark.scoring.checked_export: models of users for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark import GlassesModel, Scorer
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model

pytestmark = pytest.mark.slow

keras = import_keras()
layers = keras.layers


def fitted(*stack: Any) -> GlassesModel:
    network = keras.Sequential(list(stack))
    return GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        archive=pack_model(network),
    )


MODELS = {
    "dense": [keras.Input((7,)), layers.Dense(3, activation="softmax")],
    "normalized": [
        keras.Input((7,)),
        layers.Normalization(mean=[1.0] * 7, variance=[2.0] * 7),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.Dense(1),
    ],
    "recurrent": [keras.Input((5, 3)), layers.LSTM(4), layers.Dense(1)],
    "attention": [
        keras.Input((6,), dtype="int32"),
        layers.Embedding(256, 8),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2, activation="softmax"),
    ],
    "residual": [
        keras.Input((16, 16, 3)),
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, activation="softmax"),
    ],
}


@pytest.mark.parametrize("name", list(MODELS))
def test_models_of_users_have_the_outputs_of_keras(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    model = fitted(*MODELS[name])
    path = tmp_path / "model.onnx"
    model.export(str(path))
    (port,) = model.keras_model().inputs
    rows = np.random.default_rng(1).integers(0, 100, (9, *port.shape[1:])).astype(port.dtype)
    expected = model.keras_model().predict(rows, verbose=0)
    for runtime in ("openvino", "onnx"):
        found = Scorer.load(path, runtime=runtime).predict(rows)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_image_model_takes_pixels_if_it_shall(spark: SparkSession, tmp_path: Path) -> None:
    model = fitted(keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid"))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 8, 8), np.uint8)
    expected = model.keras_model().predict(pixels[..., np.newaxis] / 255, verbose=0)
    for is_pixels, batch in ((True, pixels), (False, pixels.astype(np.float32) / 255)):
        model.export(str(tmp_path / "m.onnx"), pixels=is_pixels)
        found = Scorer.load(tmp_path / "m.onnx").predict(batch)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_wrong_call_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    model = fitted(*MODELS["dense"])
    path = tmp_path / "dense.onnx"
    with pytest.raises(ScoringError, match="pixels=True needs a model of images"):
        model.export(str(path), pixels=True)
    with pytest.raises(ScoringError, match=r"format: expected one of keras, .*, got 'pickle'"):
        model.export(str(path), format="pickle")
    with pytest.raises(ScoringError, match=r"expected a name with \.tflite for tflite"):
        model.export(str(path), format="tflite")
    assert not path.exists()
    model.export(str(path))
    with pytest.raises(ScoringError, match=r"the model does not take images"):
        Scorer.load(path).score_bytes(b"")
    with pytest.raises(ScoringError, match=r"the model cannot score \(3, 4\)"):
        Scorer.load(path).predict(np.zeros((3, 4), np.float32))


def test_a_model_of_several_inputs_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    inputs = [keras.Input((2,), name="a"), keras.Input((3,), name="b")]
    network = keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(inputs)))
    model = GlassesModel(keras_model_config=network.to_json(), weights=network.get_weights())
    with pytest.raises(ScoringError, match="export needs a model of one input, found 2"):
        model.export(str(tmp_path / "m.onnx"))


def test_a_model_that_differs_does_not_replace_an_earlier_one(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    fitted(*MODELS["dense"]).export(str(path))
    earlier = path.read_bytes()
    network = keras.Sequential(MODELS["dense"])
    broken = [np.full_like(weight, np.nan) for weight in network.get_weights()]
    model = GlassesModel(keras_model_config=network.to_json(), weights=broken)
    with pytest.raises(ScoringError, match=r"would differ from Keras by nan, .* not written"):
        model.export(str(path))
    assert path.read_bytes() == earlier
