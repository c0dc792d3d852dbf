"""Tests for glasses_spark.scoring.saved_model; test_transformer.py has those of other paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark import GlassesModel
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras_archive import pack_model

NUMBERS = np.array([[7], [900_000_000_000], [3]])


@pytest.fixture(scope="module")
def model() -> Any:
    """A model with a vocabulary, which is neither in its architecture nor in its weights."""
    lookup = keras.layers.IntegerLookup(output_mode="one_hot")
    lookup.adapt(NUMBERS.ravel())
    inputs = keras.Input((1,), dtype="int64")
    outputs = keras.layers.Dense(1, kernel_initializer="glorot_uniform")(lookup(inputs))
    return keras.Model(inputs, outputs)


def fitted(model: Any) -> GlassesModel:
    return GlassesModel(
        keras_model_config=model.to_json(),
        weights=model.get_weights(),
        archive=pack_model(model),
        featuresCol="features",
        prediction_kind="numbers",
        prediction_size=1,
    )


@pytest.mark.parametrize("name", ["model", "model.v2", "model.h5", "model.keras"])
def test_a_saved_model_keeps_its_vocabulary(
    spark: SparkSession, model: Any, tmp_path: Path, name: str
) -> None:
    fitted(model).save(str(tmp_path / name))

    loaded = GlassesModel.load(str(tmp_path / name))

    expected = model.predict(NUMBERS, verbose=0)
    np.testing.assert_array_equal(loaded.keras_model().predict(NUMBERS, verbose=0), expected)


@pytest.mark.slow
def test_a_loaded_model_scores_large_integers_exactly(
    spark: SparkSession, model: Any, tmp_path: Path
) -> None:
    fitted(model).save(str(tmp_path / "model"))
    loaded = GlassesModel.load(str(tmp_path / "model"))
    rows = spark.createDataFrame([(n.tolist(),) for n in NUMBERS], "features array<bigint>")

    scored = {row.features[0]: row.prediction for row in loaded.transform(rows).collect()}

    expected = model.predict(NUMBERS, verbose=0)[:, 0]
    assert [scored[int(n[0])] for n in NUMBERS] == pytest.approx(expected.tolist())


def test_a_writer_of_folders_does_not_take_the_name_of_a_file(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    fitted(model).save(str(path))
    content = path.read_bytes()
    with pytest.raises(ScoringError, match="writes a Spark ML folder, not a Keras file"):
        fitted(model).write().overwrite().save(str(path))
    assert path.read_bytes() == content
