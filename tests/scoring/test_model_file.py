"""Tests for glasses_spark.scoring.model_file: each form is read by the other library."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from elephas.ml_model import ElephasTransformer
from elephas.ml_model import load_ml_transformer as load_with_elephas
from elephas.spark_model import SparkModel
from elephas.utils.model_utils import ModelType
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from glasses_spark import (
    GlassesModel,
    load_ml_estimator,
    load_ml_transformer,
    load_spark_model,
)
from glasses_spark.errors import GlassesSparkError, ScoringError
from tests.training.tiny import FEATURES, tiny_model

X = np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """A class that is registered."""

    def call(self, inputs: Any) -> Any:
        return 2 * inputs


def plain_class() -> Any:
    """Return a layer class that Keras finds only by custom_objects."""

    class Tripled(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return 3 * inputs

    return Tripled


def fitted(network: Any, **params: Any) -> GlassesModel:
    return GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        featuresCol="x",
        outputCol="p",
        prediction_kind="probabilities",
        prediction_size=1,
        model_type=ModelType.CLASSIFICATION,
        history=[{"epoch": 1, "loss": 0.5}],
        **params,
    )


def calibrated(network: Any) -> Any:
    """Return the predictions of a model with the temperature 2."""
    probabilities = network.predict(X, verbose=0)
    return 1 / (1 + np.sqrt(1 / probabilities - 1))


def test_keras_reads_a_keras_file(tmp_path: Path) -> None:
    network, path = tiny_model(), str(tmp_path / "model.keras")
    fitted(network).save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), network.predict(X, verbose=0))


def test_the_temperature_divides_the_logits_of_the_other_library(tmp_path: Path) -> None:
    network = tiny_model()
    model = fitted(network, temperature=2.0)
    model.save(str(tmp_path / "model.keras"))
    model.save(str(tmp_path / "model.h5"))

    by_keras = keras.saving.load_model(tmp_path / "model.keras")
    elephas = load_with_elephas(str(tmp_path / "model.h5"))
    by_elephas = elephas.get_model()
    by_elephas.set_weights(elephas.weights)

    for other in (by_keras, by_elephas):
        np.testing.assert_allclose(other.predict(X, verbose=0), calibrated(network), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "temperature"), [("m.keras", 1.0), ("m.h5", 2.0), ("m.hdf5", 2.0)]
)
def test_a_file_keeps_predictions_params_and_history(
    tmp_path: Path, name: str, temperature: float
) -> None:
    network, path = tiny_model(), str(tmp_path / name)
    fitted(network, temperature=2.0).save(path)
    fitted(network, temperature=2.0).save(path)  # replaces the file

    loaded = GlassesModel.load(path)

    prediction = loaded.keras_model().predict(X, verbose=0)
    np.testing.assert_allclose(prediction, calibrated(network), rtol=1e-5)
    assert loaded.get_temperature() == temperature
    assert (loaded.getFeaturesCol(), loaded.getOutputCol()) == ("x", "p")
    assert loaded.get_prediction_kind() == "probabilities"
    assert loaded.history == [{"epoch": 1, "loss": 0.5}]
    assert loaded.model_type == ModelType.CLASSIFICATION


def test_elephas_transforms_with_an_hdf5_file(spark: SparkSession, tmp_path: Path) -> None:
    network, path = tiny_model(), str(tmp_path / "model.h5")
    fitted(network, inference_batch_size=2).save(path)
    rows = spark.createDataFrame([(Vectors.dense(row.tolist()),) for row in X[:3]], ["x"])
    from pyspark.mllib.util import MLUtils

    loaded = load_with_elephas(path)
    assert type(loaded) is ElephasTransformer
    scored = loaded.transform(MLUtils.convertVectorColumnsFromML(rows)).collect()

    expected = network.predict(X[:3], verbose=0)
    np.testing.assert_allclose([row.p for row in scored], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["plain.keras", "plain.h5"])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_file_of_keras_is_loaded(tmp_path: Path, name: str, *, compiled: bool) -> None:
    network = tiny_model(hidden=[Doubled()])
    if compiled:
        network.fit(X, np.ones(5), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save(tmp_path / name)

    loaded = GlassesModel.load(str(tmp_path / name))

    prediction = loaded.keras_model().predict(X, verbose=0)
    np.testing.assert_array_equal(prediction, network.predict(X, verbose=0))
    assert len(loaded.weights) == len(network.get_weights())


@pytest.mark.parametrize("name", ["stock.h5", "stock"])
def test_a_file_of_elephas_is_loaded(tmp_path: Path, name: str) -> None:
    network = tiny_model()
    stock = ElephasTransformer(
        keras_model_config=network.to_json(), weights=network.get_weights(), outputCol="p"
    )
    stock.save(str(tmp_path / name))
    loaded = GlassesModel.load(str(tmp_path / name))
    prediction = loaded.keras_model().predict(X, verbose=0)
    np.testing.assert_allclose(prediction, network.predict(X, verbose=0), rtol=1e-6)


def test_the_file_of_elephas_spark_model_is_loaded(tmp_path: Path) -> None:
    network = tiny_model()
    SparkModel(network).save(str(tmp_path / "spark.h5"))
    loaded = load_ml_transformer(str(tmp_path / "spark.h5"))
    prediction = loaded.keras_model().predict(X, verbose=0)
    np.testing.assert_array_equal(prediction, network.predict(X, verbose=0))


@pytest.mark.parametrize("name", ["own", "own.h5", "own.keras"])
def test_classes_are_given_again(spark: SparkSession, tmp_path: Path, name: str) -> None:
    kind, path = plain_class(), str(tmp_path / name)
    network = tiny_model(hidden=[kind()])
    fitted(network, custom_objects={"Tripled": kind}).save(path)
    if name == "own.keras":
        with pytest.raises(ScoringError, match=r"cannot load this model.*in custom_objects"):
            GlassesModel.load(path)
    loaded = GlassesModel.load(path, custom_objects={"Tripled": kind})
    prediction = loaded.keras_model().predict(X, verbose=0)
    np.testing.assert_array_equal(prediction, network.predict(X, verbose=0))


@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_the_code_of_a_stranger_does_not_run(tmp_path: Path, name: str) -> None:
    network = tiny_model(hidden=[keras.layers.Lambda(lambda x: x * 2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save(tmp_path / name)
    path = str(tmp_path / name)

    with pytest.raises(ScoringError, match=r"Lambda layer's code would run\. Use safe_mode=False"):
        GlassesModel.load(path)

    loaded = GlassesModel.load(path, safe_mode=False)
    prediction = loaded.keras_model().predict(X, verbose=0)
    np.testing.assert_array_equal(prediction, network.predict(X, verbose=0))


@pytest.mark.parametrize(
    "entry", ["[]", "{}", "no", '{"config": {"weights": []}, "history": []}', '{"config": []}']
)
def test_a_malformed_entry_is_named(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "model.keras"
    tiny_model().save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("glasses_spark.json", entry)
    with pytest.raises(ScoringError, match=r"glasses_spark\.json is malformed"):
        GlassesModel.load(str(path))


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no")
    with pytest.raises(ScoringError, match=r"text\.keras: expected a saved model, found neither"):
        GlassesModel.load(str(tmp_path / "text.keras"))
    with zipfile.ZipFile(tmp_path / "zip.keras", "w") as file:
        file.writestr("a", "b")
    with pytest.raises(ScoringError, match=r"zip\.keras: Keras cannot load this model"):
        GlassesModel.load(str(tmp_path / "zip.keras"))
    with h5py.File(tmp_path / "estimator.h5", "w") as hdf5:
        config = {"keras_model_config": "{}", "epochs": 3}
        hdf5.attrs["distributed_config"] = json.dumps({"config": config})
    with pytest.raises(ScoringError, match=r"found an estimator\. Use load_ml_estimator"):
        GlassesModel.load(str(tmp_path / "estimator.h5"))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "model.h5", tmp_path / "none" / "model.keras"):
        with pytest.raises(ScoringError, match="cannot be written"):
            fitted(tiny_model()).save(str(path))


@pytest.mark.parametrize("way", ["storage", "link", "virtual"])
def test_a_file_that_reads_another_one_is_refused(tmp_path: Path, way: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"password")
    path = tmp_path / "model.h5"
    network = tiny_model()
    weights = network.get_weights()
    GlassesModel(keras_model_config=network.to_json(), weights=weights).save(str(path))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = weights[0]
    with h5py.File(path, "a") as file:
        group = file["weights"]
        name = sorted(group)[0]
        del group[name]
        if way == "storage":
            group.create_dataset(name, (1,), "float32", external=[(str(secret), 0, 4)])
        elif way == "link":
            group[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
        else:
            layout = h5py.VirtualLayout(weights[0].shape, "float32")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", weights[0].shape)
            group.create_virtual_dataset(name, layout)
    with pytest.raises(ScoringError, match="found /weights/00000 in another file"):
        load_ml_transformer(str(path))
    with pytest.raises(GlassesSparkError, match="found /weights/00000 in another file"):
        load_ml_estimator(str(path))
    with pytest.raises(ScoringError, match="found /weights/00000 in another file"):
        load_spark_model(str(path))
