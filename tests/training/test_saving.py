"""Tests for glasses_spark.training.saving."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from elephas.ml_model import ElephasEstimator

from glasses_spark import GlassesEstimator, load_ml_estimator
from glasses_spark.errors import TrainingError
from tests.training.tiny import tiny_estimator, tiny_model


def test_a_file_keeps_optimizer_and_settings(tmp_path: Path) -> None:
    estimator = tiny_estimator(
        optimizer="rmsprop",
        precision="bfloat16",
        learning_rate=0.25,
        class_weight={1.0: 2.0},
        parameter_server_port=4321,
    )
    estimator.save(str(tmp_path / "estimator.h5"))

    loaded = load_ml_estimator(str(tmp_path / "estimator.h5"))

    assert loaded.get_optimizer_config() == "rmsprop"
    assert loaded.get_config() == estimator.get_config()
    names = ("precision", "learning_rate", "class_weight", "parameter_server_port")
    values = [loaded.get_config()[name] for name in names]
    assert values == ["bfloat16", 0.25, {"1.0": 2.0}, 4321]


def test_the_estimator_loads_a_file_by_its_ending(tmp_path: Path) -> None:
    tiny_estimator(epochs=7).save(str(tmp_path / "estimator.h5"))
    loaded = GlassesEstimator.load(str(tmp_path / "estimator.h5"))
    assert loaded.get_epochs() == 7


def test_a_file_of_elephas_is_loaded(tmp_path: Path) -> None:
    elephas = ElephasEstimator(
        keras_model_config=tiny_model().to_json(), loss="mse", epochs=3, mode="hogwild"
    )
    elephas.save(str(tmp_path / "elephas.h5"))
    loaded = load_ml_estimator(str(tmp_path / "elephas.h5"))
    assert (loaded.get_epochs(), loaded.get_mode(), loaded.get_loss()) == (3, "hogwild", "mse")


def test_a_missing_file_and_other_hdf5_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.h5: expected a saved estimator, got no such"):
        load_ml_estimator(str(tmp_path / "none.h5"))
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(TrainingError, match=r"other\.h5: expected an estimator saved by Elephas"):
        load_ml_estimator(str(tmp_path / "other.h5"))
