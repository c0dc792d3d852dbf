"""Tests for glasses_spark.training.output_settings."""

from __future__ import annotations

from typing import Any

import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.keras_objects import portable
from glasses_spark.training.output_settings import (
    is_sparse,
    label_columns,
    label_size,
    losses_by_output,
    metrics_by_output,
    require_loss_weights,
    require_one_output,
)

keras = import_keras()
NAMES = ("a", "b")


def test_a_loss_is_that_of_each_output() -> None:
    serialized = portable(keras.losses.MeanSquaredError(), "loss")
    for loss in ("mse", serialized):
        assert losses_by_output(loss, NAMES) == [loss, loss]
    assert losses_by_output(["mse", None], NAMES) == ["mse", None]
    assert losses_by_output({"b": None, "a": "mse"}, NAMES) == ["mse", None]


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (["mse"], "loss: expected 2, for the outputs a, b, got 1"),
        ({"a": "mse"}, "loss: expected one for each of the outputs a, b, found none for b"),
        ({"a": "mse", "c": "mse"}, "loss: found c, the outputs of the model are a, b"),
    ],
)
def test_losses_that_do_not_fit_the_outputs_are_refused(loss: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        losses_by_output(loss, NAMES)


def test_metrics_are_those_of_each_output() -> None:
    assert metrics_by_output(["mae", "mse"], ["a"]) == [["mae", "mse"]]
    assert metrics_by_output([["mae", "mse"], None], NAMES) == [["mae", "mse"], None]
    assert metrics_by_output({"b": "mae"}, NAMES) == [None, "mae"]
    assert metrics_by_output([], NAMES) == [None, None]


def test_metrics_that_do_not_fit_the_outputs_are_refused() -> None:
    with pytest.raises(ConfigError, match="metrics: expected 2, for the outputs a, b, got 1"):
        metrics_by_output(["mae"], NAMES)
    with pytest.raises(ConfigError, match="weighted_metrics: found c, the outputs of the model"):
        metrics_by_output({"c": "mae"}, NAMES, "weighted_metrics")


@pytest.mark.parametrize(
    ("weights", "loss", "message"),
    [
        ([1.0], ["mse", "mse"], "loss_weights: expected 2, for the outputs a, b, got 1"),
        ({"a": 1.0, "c": 2.0}, ["mse", "mse"], "loss_weights: found c"),
        ([1.0, 2.0], "mse", "loss_weights: expected a list or mapping of losses beside it"),
    ],
)
def test_loss_weights_that_do_not_fit_the_losses_are_refused(
    weights: Any, loss: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        require_loss_weights(weights, loss, NAMES)


def test_an_output_without_loss_and_metrics_needs_no_label() -> None:
    for value in ("x", ["x", None], {"a": "x"}, {"a": "x", "b": None}):
        assert label_columns(value, NAMES, [True, False]) == ("x", None)
    assert label_columns(["x", "y"], NAMES, [True, False]) == ("x", "y")
    with pytest.raises(ConfigError, match="labelCol: expected a column for the output 'b', which"):
        label_columns(["x", None], NAMES, [True, True])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"ml_settings": ["rawPredictionCol"]}, "rawPredictionCol needs .* one output, found a, b"),
        ({"class_weight": {"1.0": 2.0}}, r"class_weight needs .* Use weightCol"),
        ({"categorical": True}, r"categorical=True needs .* Use categorical=False"),
    ],
)
def test_settings_for_one_output_are_refused_for_several(
    setting: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"ml_settings": (), "class_weight": {}, "categorical": False}
    require_one_output(["a"], **{**given, **setting})
    with pytest.raises(ConfigError, match=message):
        require_one_output(NAMES, **{**given, **setting})


def test_a_sparse_loss_is_known_in_any_form() -> None:
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    forms = [sparse, portable(sparse, "loss"), "sparse_categorical_crossentropy"]
    assert [is_sparse(loss) for loss in [*forms, "mse", None]] == [True, True, True, False, False]


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_pred)


@pytest.mark.parametrize(
    ("loss", "shape", "size"),
    [
        pytest.param("mse", (2, 3), 6, id="as the output"),
        pytest.param(keras.losses.sparse_categorical_crossentropy, (3,), 1, id="class number"),
        pytest.param("sparse_categorical_crossentropy", (4, 4, 3), 16, id="class of each pixel"),
        pytest.param(keras.losses.Circle(), (3,), 1, id="class number to an embedding"),
        pytest.param(keras.losses.CategoricalGeneralizedCrossEntropy(), (3,), 1, id="no one-hot"),
        pytest.param("ctc", (5, 4), None, id="sequence"),
        pytest.param(own_loss, (3,), None, id="own loss"),
    ],
)
def test_the_loss_decides_on_the_length_of_a_label(loss: Any, shape: Any, size: Any) -> None:
    assert label_size(portable(loss, "loss"), shape) == size
