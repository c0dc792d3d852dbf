"""Tests for glasses_spark.training.checkpoint.callback_states, with callbacks of Keras."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.checkpoint.callback_states import read_states, restore_states
from tests.training.tiny import tiny_model

LOSSES = [0.5, 0.4, 0.45, 0.46, 0.39, 0.6, 0.6, 0.6, 0.6]


def callbacks() -> list[Any]:
    keras = import_keras().callbacks
    return [
        keras.EarlyStopping("loss", patience=3, min_delta=0.001, restore_best_weights=True),
        keras.ReduceLROnPlateau("loss", factor=0.5, patience=2),
    ]


def begin(model: Any) -> list[Any]:
    made = callbacks()
    for callback in made:
        callback.set_model(model)
        callback.on_train_begin()
    return made


def end_epochs(made: list[Any], model: Any, epochs: range) -> None:
    for epoch in epochs:
        if not model.stop_training:
            model.set_weights([np.full_like(w, epoch) for w in model.get_weights()])
            for callback in made:
                callback.on_epoch_end(epoch, {"loss": LOSSES[epoch]})


@pytest.mark.parametrize("interrupted_after", [1, 3, 5, 6])
def test_callbacks_go_on_as_if_never_interrupted(interrupted_after: int) -> None:
    outcomes = []
    for interrupted in (False, True):
        model = tiny_model()
        model.stop_training = False
        made = begin(model)
        end_epochs(made, model, range(interrupted_after))
        if interrupted:
            states, arrays = read_states(made)
            rate, weights = float(model.optimizer.learning_rate), model.get_weights()
            model = tiny_model()
            model.stop_training = False
            model.optimizer.learning_rate = rate
            model.set_weights(weights)
            made = begin(model)
            restore_states(made, json.loads(json.dumps(states)), arrays)
        end_epochs(made, model, range(interrupted_after, len(LOSSES)))
        for callback in made:
            callback.on_train_end()
        stopping = made[0]
        outcomes.append(
            (
                stopping.stopped_epoch,
                stopping.best,
                stopping.best_epoch,
                float(model.optimizer.learning_rate),
                [w.ravel()[0] for w in model.get_weights()],
            )
        )
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == 7  # three epochs without a better loss than that of epoch 4
    assert outcomes[0][4][0] == 4


def test_callbacks_of_other_classes_are_refused_by_name() -> None:
    model = tiny_model()
    made = begin(model)
    states, arrays = read_states(made)
    with pytest.raises(TrainingError, match=r"EarlyStopping, .*ReduceLROnPlateau, got none"):
        restore_states([], states, arrays)


def test_a_state_adds_no_attribute_and_replaces_no_model() -> None:
    model = tiny_model()
    made = begin(model)
    states, arrays = read_states(made)
    states[0]["attributes"] |= {"_model": {"value": 1}, "on_epoch_end": {"value": 2}}
    restore_states(made, states, arrays)
    assert made[0]._model is model
    assert callable(made[0].on_epoch_end)
