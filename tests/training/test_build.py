"""Tests for glasses_spark.training.build."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from glasses_spark import build_estimator
from glasses_spark.errors import ConfigError, TrainingError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import tiny_estimator, tiny_model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "foobar"}, 'mode: expected one of "synchronous", "asynchronous", "hogwild"'),
        ({"frequency": "step"}, 'frequency: expected one of "batch", "epoch", got "step"'),
        ({"epochs": 0}, "epochs: expected a whole number >= 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected a whole number >= 1, got 0"),
        ({"num_workers": "many"}, 'num_workers: .*, or "auto", got "many"'),
        ({"split": 1.0}, "validation_split: expected a number from 0 to 1, 1 excluded, got 1.0"),
        ({"learning_rate": -1}, "learning_rate: expected a number >= 0, got -1"),
    ],
)
def test_a_wrong_value_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_estimator(**changes)


def test_an_unknown_setting_is_refused_with_the_closest_name() -> None:
    with pytest.raises(TypeError, match=r"no setting 'learning_rte'; did you mean learning_rate"):
        tiny_estimator(learning_rte=0.1)


def test_settings_of_the_file_are_keywords() -> None:
    estimator = tiny_estimator(learning_rate=0.25, cpu_kernels="auto", parameter_server_port=4321)
    assert estimator.getOrDefault("learning_rate") == 0.25
    assert estimator.getOrDefault("cpu_kernels") == "auto"
    assert estimator.getOrDefault("parameter_server_port") == 4321
    assert not tiny_estimator(learning_rate=None).isSet("learning_rate")


def test_the_signature_lists_all_settings_behind_the_arguments_of_the_published_experiment() -> (
    None
):
    parameters = inspect.signature(build_estimator).parameters
    assert list(parameters)[:14] == [
        "model",
        "epochs",
        "batch_size",
        "categorical",
        "num_workers",
        "loss",
        "nb_classes",
        "optimizer",
        "split",
        "featuresCol",
        "labelCol",
        "metrics",
        "frequency",
        "mode",
    ]
    assert {"learning_rate", "precision", "stall_timeout"} <= parameters.keys()
    assert all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def test_loss_metrics_and_optimizer_are_those_of_the_compiled_model() -> None:
    keras = import_keras()
    estimator = tiny_estimator(model=tiny_model(optimizer=keras.optimizers.SGD(0.5)))
    assert estimator.get_loss() == "binary_crossentropy"
    assert estimator.get_metrics() == ["accuracy"]
    assert estimator.get_optimizer_config()["config"]["learning_rate"] == 0.5


def test_weighted_metrics_are_those_of_the_compiled_model_or_given() -> None:
    model = tiny_model()
    model.compile(loss="mse", metrics=["mae"], weighted_metrics=["accuracy"])
    estimator = tiny_estimator(model=model)
    assert estimator.getOrDefault("weighted_metrics") == ["accuracy"]
    _, spec = estimator._build()
    assert (spec.metrics, spec.weighted_metrics) == (["mae"], ["accuracy"])
    assert tiny_estimator().getOrDefault("weighted_metrics") == []
    given = tiny_estimator(model=model, weighted_metrics=["mse"])
    assert given.getOrDefault("weighted_metrics") == ["mse"]


def test_a_model_without_a_loss_is_refused() -> None:
    keras = import_keras()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ConfigError, match="loss: expected a compiled model or a loss, got neither"):
        build_estimator(model, 1, 1, categorical=False)


def test_loss_weights_are_those_of_the_compiled_model_or_given() -> None:
    model = tiny_model()
    model.compile(loss="binary_crossentropy", loss_weights=[2.0])
    assert tiny_estimator(model=model)._build()[1].loss_weights == [2.0]
    assert tiny_estimator(model=model, loss_weights=3)._build()[1].loss_weights == 3.0
    with pytest.raises(ConfigError, match=r"loss_weights: expected 1, for the outputs .*, got 2"):
        tiny_estimator(model=model, loss_weights=[1, 2])


def test_a_loss_that_is_a_sum_needs_one_worker() -> None:
    model = tiny_model()
    model.compile("sgd", import_keras().losses.MeanSquaredError(reduction="sum"))

    tiny_estimator(model=model, num_workers=1)._build()
    with pytest.raises(TrainingError, match=r"got 'sum'.* Use num_workers=1, or the mean"):
        tiny_estimator(model=model, num_workers=2)._build()
