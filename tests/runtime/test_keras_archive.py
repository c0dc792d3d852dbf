"""Tests for glasses_spark.runtime.keras_archive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model, set_weights, unpack_model

NUMBERS = np.linspace(-2, 2, 9, dtype=np.float32).reshape(-1, 1)


@pytest.mark.slow  # imports TensorFlow
@pytest.mark.parametrize("name", ["Normalization", "Discretization"])
def test_a_rebuilt_model_with_new_weights_keeps_what_a_layer_learned_from_data(name: str) -> None:
    keras = import_keras()
    options = {"num_bins": 3} if name == "Discretization" else {}
    layer: Any = getattr(keras.layers, name)(**options)
    layer.adapt(NUMBERS)
    model = keras.Sequential([keras.Input((1,)), layer])
    rebuilt = unpack_model(pack_model(model))

    set_weights(rebuilt, model.get_weights())

    expected, found = (np.asarray(each(NUMBERS)) for each in (model, rebuilt))
    assert np.array_equal(expected, found)
    assert len(np.unique(found)) >= 3
