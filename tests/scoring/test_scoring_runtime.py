"""Tests for glasses_spark.scoring.scoring_runtime."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import GlassesModel
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model

pytestmark = pytest.mark.slow

keras = import_keras()
layers = keras.layers
ROWS = 50


def fitted(network: Any, **params: Any) -> GlassesModel:
    return GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        archive=pack_model(network),
        **params,
    )


def image_model(**params: Any) -> GlassesModel:
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return fitted(network, featuresCol="pixels", **params)


@pytest.fixture
def pixels(spark: SparkSession) -> DataFrame:
    images = np.random.default_rng(1).integers(0, 256, (ROWS, 64), np.uint8)
    rows = [(number, image.tobytes()) for number, image in enumerate(images)]
    return spark.createDataFrame([*rows, (ROWS, None)], "id INT, pixels BINARY")


def columns(model: GlassesModel, frame: DataFrame) -> list[Any]:
    scored = model.transform(frame).orderBy("id")
    names = [name for name in scored.columns if name not in frame.columns]
    return [
        None if row[names[0]] is None else [float(v) for name in names for v in np.ravel(row[name])]
        for row in scored.collect()
    ]


@pytest.mark.parametrize("runtime", ["openvino", "onnx", "auto"])
def test_a_runtime_scores_as_keras_does(
    pixels: DataFrame, runtime: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = image_model(
        rawPredictionCol="raw",
        probabilityCol="p",
        predictionCol="class",
        handleInvalid="keep",
        invalidReasonCol="",
    )
    model.set_temperature(2.0)
    expected = columns(model, pixels)
    found = columns(model.copy({model.scoring_runtime: runtime}), pixels)
    assert found[-1] is None
    assert expected[-1] is None
    np.testing.assert_allclose(found[:-1], expected[:-1], atol=1e-5)
    assert "scores in float32: differs from Keras by at most" in caplog.text


def test_bfloat16_is_rounded_and_said(pixels: DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = image_model(handleInvalid="skip")
    expected = columns(model, pixels)
    rounded = {model.scoring_runtime: "auto", model.scoring_precision: "bfloat16"}
    np.testing.assert_allclose(columns(model.copy(rounded), pixels), expected, atol=0.02)
    assert "openvino scores in bfloat16" in caplog.text


def test_models_with_several_inputs_and_outputs(spark: SparkSession) -> None:
    numbers, ids = keras.Input((3,), name="numbers"), keras.Input((2,), dtype="int32", name="ids")
    embedded = layers.Flatten()(layers.Embedding(10, 4)(ids))
    joined = layers.Concatenate()([numbers, embedded])
    outputs = {"a": layers.Dense(3, activation="softmax", name="a")(joined)}
    outputs["b"] = layers.Dense(1, name="b")(joined)
    model = fitted(
        keras.Model({"numbers": numbers, "ids": ids}, outputs),
        featuresCol={"numbers": "numbers", "ids": "ids"},
    )
    random = np.random.default_rng(2)
    frame = spark.createDataFrame(
        [
            (row, Vectors.dense(random.normal(size=3)), random.integers(0, 10, 2).tolist())
            for row in range(20)
        ],
        ["id", "numbers", "ids"],
    )
    expected = columns(model, frame)
    for runtime in ("openvino", "onnx"):
        found = columns(model.copy({model.scoring_runtime: runtime}), frame)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_model_that_no_other_runtime_computes_stays_with_keras_and_says_so(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    network = keras.Sequential(
        [
            keras.Input((1,), dtype="string"),
            layers.TextVectorization(output_sequence_length=4, vocabulary=["red", "blue"]),
            layers.Embedding(4, 3),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model = fitted(network, featuresCol="text", scoring_runtime="auto")
    frame = spark.createDataFrame([(0, "red blue"), (1, "green")], "id INT, text STRING")
    found = columns(model, frame)
    assert "Keras scores: the runtime openvino takes no strings" in caplog.text
    expected = columns(model.copy({model.scoring_runtime: "keras"}), frame)
    assert found == expected
    with pytest.raises(ScoringError, match="the runtime onnx takes no strings"):
        model.copy({model.scoring_runtime: "onnx"}).transform(frame)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"scoring_runtime": "torch"}, "scoring_runtime: expected one of keras, onnx, openvino"),
        ({"scoring_precision": "float16"}, "scoring_precision: expected one of float32, bfloat16"),
        (
            {"scoring_precision": "bfloat16"},
            "scoring_precision=bfloat16 needs scoring_runtime openvino or auto, got keras",
        ),
        (
            {"scoring_precision": "bfloat16", "scoring_runtime": "onnx"},
            "needs scoring_runtime openvino or auto, got onnx",
        ),
    ],
)
def test_what_is_not_known_is_refused(
    pixels: DataFrame, params: dict[str, str], message: str
) -> None:
    with pytest.raises(ScoringError, match=message):
        image_model(**params).transform(pixels)


def test_the_choice_is_saved_with_the_model(spark: SparkSession, tmp_path: Any) -> None:
    model = image_model(scoring_runtime="auto")
    model.save(f"file:{tmp_path}/model")
    assert GlassesModel.load(f"file:{tmp_path}/model").getScoringRuntime() == "auto"
