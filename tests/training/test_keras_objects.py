"""Tests for glasses_spark.training.keras_objects."""

from __future__ import annotations

import pickle
from typing import Any

import keras
import numpy as np
import pytest
from pyspark.serializers import CloudPickleSerializer

from glasses_spark.errors import ConfigError
from glasses_spark.training.keras_objects import (
    KerasObject,
    differing_attributes,
    portable,
)

TARGET = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.5]], np.float32)
OUTPUT = np.array([[0.2, 0.9, 0.4], [3.0, 0.1, 0.5]], np.float32)


class Quantile(keras.losses.Loss):
    """A user's loss without get_config."""

    def __init__(self, quantile: float) -> None:
        super().__init__()
        self.quantile = quantile

    def call(self, y_true: Any, y_pred: Any) -> Any:
        error = y_true - y_pred
        return keras.ops.maximum(self.quantile * error, (self.quantile - 1) * error)


class Above(keras.metrics.Metric):
    """A user's metric without get_config."""

    def __init__(self, limit: float) -> None:
        super().__init__(name="above")
        self.limit = limit
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        above = keras.ops.cast(y_pred > self.limit, "float32")
        self.count.assign_add(keras.ops.sum(above))

    def result(self) -> Any:
        return self.count


def sent(value: Any, what: str = "loss") -> Any:
    """Return a value as a worker gets it, built."""
    pickled = CloudPickleSerializer().dumps(portable(value, what))  # type: ignore[no-untyped-call]
    received = pickle.loads(pickled)
    if isinstance(received, KerasObject):
        return received.build()
    return keras.saving.deserialize_keras_object(received)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.Huber(delta=0.1),
        keras.losses.CosineSimilarity(axis=0),
        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.2, axis=0),
        keras.losses.BinaryFocalCrossentropy(gamma=5.0),
        keras.losses.Tversky(alpha=0.2, beta=0.9),
        Quantile(0.9),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_keeps_its_arguments(loss: Any) -> None:
    assert float(sent(loss)(TARGET, OUTPUT)) == float(loss(TARGET, OUTPUT))


@pytest.mark.parametrize(
    "metric",
    [
        keras.metrics.AUC(thresholds=[0.3, 0.7]),
        keras.metrics.AUC(num_thresholds=7, curve="PR", multi_label=True, num_labels=3),
        keras.metrics.BinaryAccuracy(threshold=0.1),
        keras.metrics.Precision(thresholds=0.3, top_k=2),
        keras.metrics.F1Score(average=None, threshold=0.3),
        keras.metrics.CosineSimilarity(axis=0),
        # Keras cannot read what it writes for these, or cannot copy it.
        keras.metrics.AUC(multi_label=True, num_labels=3, label_weights=[0.2, 0.3, 0.5]),
        keras.metrics.OneHotIoU(num_classes=3, target_class_ids=[0, 2]),
    ],
    ids=lambda metric: f"{type(metric).__name__}-{metric.name}",
)
def test_a_metric_keeps_its_arguments_and_loses_its_state(metric: Any) -> None:
    received = sent(metric, "metrics")
    target = np.round(TARGET)
    metric.update_state(target, OUTPUT)
    received.update_state(target, OUTPUT)

    np.testing.assert_array_equal(np.asarray(received.result()), np.asarray(metric.result()))
    # A metric that has been used is sent as a new one.
    assert not any(np.asarray(variable).any() for variable in sent(metric, "metrics").variables)


def test_a_metric_without_a_config_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"metrics: Above cannot be rebuilt from its get_config"):
        portable([Above(0.5)], "metrics")


@pytest.mark.parametrize(
    "value", ["mse", None, ["accuracy", "mae"], keras.losses.mean_squared_error]
)
def test_names_and_functions_stay_as_they_are(value: Any) -> None:
    assert portable(value, "loss") == value


def test_what_get_config_describes_is_serialized() -> None:
    assert portable(keras.losses.MeanSquaredError(), "loss")["class_name"] == "MeanSquaredError"


def test_differing_attributes_are_named() -> None:
    first, second = keras.losses.Huber(delta=1.0), keras.losses.Huber(delta=2.0)
    assert "_fn_kwargs" in differing_attributes(first, second)
    assert differing_attributes(first, keras.losses.Huber(delta=1.0)) == set()
