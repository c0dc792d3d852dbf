"""Tests for glasses_spark.config.training."""

from __future__ import annotations

import pytest

from glasses_spark.config.training import LOSSES, OPTIMIZERS, TrainingConfig
from glasses_spark.training.optimizers import optimizer_of
from tests.config.messages import message_of


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.batch_size=0", "training.batch_size: expected a whole number >= 1, got 0"),
        ("training.epochs=2.5", "training.epochs: expected a whole number >= 1, got 2.5"),
        ("training.epochs=true", "training.epochs: expected a whole number >= 1, got true"),
        (
            "training.num_workers=all",
            'training.num_workers: expected a whole number >= 1, or "auto", got "all"',
        ),
        (
            "training.mode=sync",
            'training.mode: expected one of "synchronous", "asynchronous", "hogwild", got "sync"',
        ),
        (
            "training.precision=mixed_bfloat16",
            'training.precision: expected one of "float32", "bfloat16", "auto", '
            'got "mixed_bfloat16"',
        ),
        (
            "training.cpu_kernels=fast",
            'training.cpu_kernels: expected one of "auto", "keras", got "fast"',
        ),
        ("training.learning_rate=-1", "training.learning_rate: expected a number >= 0, got -1"),
        (
            "training.metrics=accuracy",
            'training.metrics: expected a list of names of Keras metrics, such as ["accuracy"], '
            'got "accuracy"',
        ),
        (
            "training.port=70000",
            "training.port: expected a whole number from 0 to 65535, got 70000",
        ),
        ("training.batchsize=3", "training.batchsize: unknown key; did you mean batch_size?"),
        ("evaluation.threshold=50", "evaluation.threshold: expected a number from 0 to 1, got 50"),
        (
            "evaluation.cost_false_negative=-1",
            "evaluation.cost_false_negative: expected a number >= 0, got -1",
        ),
        ("model.name=resnet", 'model.name: expected "cnn" (the only model by name), got "resnet"'),
    ],
)
def test_a_wrong_value_is_refused_with_key_and_expected_value(override: str, message: str) -> None:
    assert message_of(override) == f"configuration: {message}"


def test_convolutions_are_computed_as_keras_computes_them_by_default() -> None:
    assert TrainingConfig().cpu_kernels == "keras"


def test_the_settings_of_a_fit_are_returned_by_the_names_of_the_params() -> None:
    params = TrainingConfig(port=7080, learning_rate=0.01, optimizer="sgd").params()
    assert params["parameter_server_port"] == 7080
    assert params["learning_rate"] == 0.01
    # These are objects or callbacks for the estimator, not settings.
    assert not {"port", "optimizer", "loss", "metrics", "class_weight"} & set(params)


def test_the_settings_in_use_that_need_validation_images_are_returned_by_name() -> None:
    assert TrainingConfig().validation_settings() == {}
    assert TrainingConfig(early_stopping=3).validation_settings() == {"early_stopping": 3}


@pytest.mark.slow
def test_keras_has_every_optimizer_and_loss_of_the_configuration() -> None:
    import keras  # slow to import

    for name in OPTIMIZERS:
        assert type(optimizer_of(name)).__name__.lower() == name
    for name in LOSSES:
        assert callable(keras.losses.get(name))
