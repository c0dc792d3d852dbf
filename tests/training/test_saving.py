"""Tests for glasses_spark.training.saving."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from elephas.ml_model import ElephasEstimator
from elephas.ml_model import load_ml_estimator as load_with_elephas

from glasses_spark import GlassesEstimator, load_ml_estimator
from glasses_spark.errors import ScoringError, TrainingError
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


@pytest.mark.parametrize("workers", [2, "auto"])
def test_elephas_reads_an_hdf5_file(tmp_path: Path, workers: int | str) -> None:
    estimator = tiny_estimator(num_workers=workers, epochs=7, optimizer="rmsprop")
    estimator.save(str(tmp_path / "estimator.h5"))

    loaded = load_with_elephas(str(tmp_path / "estimator.h5"))

    assert type(loaded) is ElephasEstimator
    assert loaded.get_keras_model_config() == estimator.get_keras_model_config()
    assert (loaded.get_epochs(), loaded.get_optimizer_config()) == (7, "rmsprop")
    assert loaded.get_num_workers() == (2 if workers == 2 else ElephasEstimator().get_num_workers())


def test_a_file_keeps_weights_and_the_state_of_the_optimizer(tmp_path: Path) -> None:
    model = tiny_model()
    model.fit(np.ones((4, 6)), np.ones(4), verbose=0)
    estimator = tiny_estimator(model=model)
    estimator.save(str(tmp_path / "estimator.h5"))

    loaded = load_ml_estimator(str(tmp_path / "estimator.h5"))

    assert loaded.archive == estimator.archive
    for stored, weight in zip(loaded.initial_weights or (), model.get_weights(), strict=True):
        np.testing.assert_array_equal(stored, weight)
    state, expected = loaded.state_of_optimizer(), estimator.state_of_optimizer()
    for stored, variable in zip(state.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(stored, variable)
    assert state.variables


def test_a_keras_file_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "estimator.keras")
    with pytest.raises(ScoringError, match=r"no place for the settings of an estimator\. Use \.h5"):
        tiny_estimator().save(path)
    tiny_model().save(path)
    with pytest.raises(TrainingError, match="becomes an estimator by build_estimator"):
        GlassesEstimator.load(path)


def test_a_writer_does_not_delete_what_it_does_not_replace(tmp_path: Path) -> None:
    path = tmp_path / "estimator.h5"
    tiny_estimator().save(str(path))
    content = path.read_bytes()
    with pytest.raises(ScoringError, match="writes a Spark ML folder, not an HDF5 file"):
        tiny_estimator().write().overwrite().save(str(path))
    assert path.read_bytes() == content
