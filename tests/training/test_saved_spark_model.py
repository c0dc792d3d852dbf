"""Tests for glasses_spark.training.saved_spark_model: each library reads the other's files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from elephas.spark_model import SparkMLlibModel, SparkModel
from elephas.spark_model import load_spark_model as load_with_elephas
from pyspark.sql import SparkSession

from glasses_spark import GlassesSparkMLlibModel, GlassesSparkModel, load_spark_model
from glasses_spark.errors import ScoringError
from tests.training.tiny import FEATURES, tiny_model

X = np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
@pytest.mark.parametrize("kind", [GlassesSparkModel, GlassesSparkMLlibModel])
def test_a_file_keeps_class_network_and_settings(
    tmp_path: Path, name: str, kind: type[GlassesSparkModel]
) -> None:
    network, path = tiny_model(), str(tmp_path / name)
    model = kind(network, num_workers=3, mode="hogwild", frequency="batch", seed=5, batch_size=7)
    model.save(path)
    model.save(path)  # replaces the file

    loaded = load_spark_model(path)

    assert type(loaded) is kind
    assert loaded.get_config() == model.get_config()
    assert loaded.master_network.compiled
    found, wanted = (each.predict(X, verbose=0) for each in (loaded.master_network, network))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(GlassesSparkModel, SparkModel), (GlassesSparkMLlibModel, SparkMLlibModel)],
)
def test_elephas_reads_an_hdf5_file(
    tmp_path: Path, ours: type[GlassesSparkModel], theirs: type[SparkModel]
) -> None:
    ours(tiny_model(), num_workers=3, mode="asynchronous").save(str(tmp_path / "model.h5"))
    loaded = load_with_elephas(str(tmp_path / "model.h5"))
    assert type(loaded) is theirs
    assert loaded.num_workers == 3


def test_keras_reads_a_keras_file(tmp_path: Path) -> None:
    GlassesSparkModel(tiny_model(optimizer="sgd")).save(str(tmp_path / "model.keras"))
    assert keras.saving.load_model(tmp_path / "model.keras").compiled


def test_files_of_elephas_and_keras_are_loaded(tmp_path: Path) -> None:
    SparkModel(tiny_model(), num_workers=2, frequency="batch").save(str(tmp_path / "stock.h5"))
    loaded = load_spark_model(str(tmp_path / "stock.h5"))
    assert (loaded.num_workers, loaded.frequency) == (2, "batch")
    tiny_model().save(tmp_path / "plain.keras")
    assert load_spark_model(str(tmp_path / "plain.keras")).mode == "synchronous"
    # As Elephas' AsynchronousSparkModel writes it.
    with h5py.File(tmp_path / "stock.h5", "a") as file:
        config = {"num_workers": 2, "mode": "asynchronous", "parameter_server_mode": "http"}
        content = {"class_name": "AsynchronousSparkModel", "config": config}
        file.attrs["distributed_config"] = json.dumps(content)
    assert load_spark_model(str(tmp_path / "stock.h5")).mode == "asynchronous"


def test_a_file_on_another_file_system(spark: SparkSession, tmp_path: Path) -> None:
    uri, model = f"file:{tmp_path}/folder/model.h5", GlassesSparkModel(tiny_model(), num_workers=2)
    model.save(uri, to_hadoop=True)
    assert load_spark_model(uri, from_hadoop=True).num_workers == 2
    with pytest.raises(ScoringError, match=r"exists already.*or overwrite=True"):
        model.save(uri, to_hadoop=True)
    model.save(uri, overwrite=True, to_hadoop=True)
    with pytest.raises(ScoringError, match=r"none\.h5: expected a saved model, but it cannot be"):
        load_spark_model(f"file:{tmp_path}/none.h5", from_hadoop=True)


def test_what_cannot_be_saved_or_loaded_is_named(tmp_path: Path) -> None:
    model = GlassesSparkModel(tiny_model())
    for name in ("model", "model.pb"):
        with pytest.raises(ScoringError, match=rf"{name}: .*\.keras or \.h5"):
            model.save(str(tmp_path / name))
    (tmp_path / "file").touch()
    with pytest.raises(ScoringError, match="cannot be written"):
        model.save(str(tmp_path / "file" / "model.h5"))
    with pytest.raises(ScoringError, match=r"none\.h5: expected a saved model, but the file does"):
        load_spark_model(str(tmp_path / "none.h5"))
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ScoringError, match=r"text\.h5: Keras cannot load this model"):
        load_spark_model(str(tmp_path / "text.h5"))
    path = tmp_path / "model.keras"
    tiny_model().save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("glasses_spark_model.json", "[]")
    with pytest.raises(ScoringError, match="the configuration is malformed"):
        load_spark_model(str(path))
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "bare.keras")
    with pytest.raises(ScoringError, match="expected a compiled model, got one without a loss"):
        load_spark_model(str(tmp_path / "bare.keras"))
