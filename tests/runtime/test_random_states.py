"""Tests for glasses_spark.runtime.random_states, with models packed as archives."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model, unpack_model
from glasses_spark.runtime.random_states import RandomGenerators, random_states

pytestmark = pytest.mark.slow  # imports TensorFlow


@pytest.fixture
def model() -> Any:
    """A model with a seeded and an unseeded random layer."""
    keras = import_keras()
    layers = keras.layers
    return keras.Sequential([keras.Input((50,)), layers.Dropout(0.5, seed=7), layers.Dropout(0.2)])


def test_a_rebuilt_model_draws_the_numbers_of_the_original(model: Any) -> None:
    x = np.ones((1, 50), np.float32)
    model(x, training=True)  # the states are no longer those of the seeds

    rebuilt = unpack_model(pack_model(model))

    for _ in range(2):
        expected, drawn = (np.asarray(each(x, training=True)) for each in (model, rebuilt))
        assert np.array_equal(expected, drawn)


def test_new_states_are_drawn_for_layers_without_a_seed_alone(model: Any) -> None:
    seeded, unseeded = random_states(model)
    generators = RandomGenerators(model)

    assert generators.draw(1)[0] == seeded
    assert generators.draw(1)[1] != unseeded
    assert generators.draw(1) == generators.draw(1) != generators.draw(2)
    assert random_states(model) == [seeded, unseeded]


def test_keras_itself_loads_an_archive(model: Any, tmp_path: Any) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(pack_model(model))

    assert len(import_keras().saving.load_model(path).layers) == 2


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (b"[" + b" " * 1_000_000 + b"]", r"random_states\.json: expected at most 1000000 bytes"),
        (b"[[1, 2]]", "argument 2 is shorter"),
        (b"nonsense", "Expecting value"),
    ],
)
def test_states_that_a_stranger_has_changed_are_refused(
    model: Any, tmp_path: Any, states: bytes, message: str
) -> None:
    changed = tmp_path / "changed.keras"
    with (
        zipfile.ZipFile(io.BytesIO(pack_model(model))) as file,
        zipfile.ZipFile(changed, "w") as target,
    ):
        for entry in file.namelist():
            is_states = entry == "random_states.json"
            target.writestr(entry, states if is_states else file.read(entry))

    with pytest.raises(ValueError, match=message):
        unpack_model(changed.read_bytes())
