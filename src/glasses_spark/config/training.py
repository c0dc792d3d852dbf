"""Sections about the model, its training and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from glasses_spark.config.fields import (
    AUTO,
    flag,
    key,
    one_of,
    real,
    texts,
    whole,
    whole_or,
)
from glasses_spark.config.section import Section

OPTIMIZERS: Final = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "nadam",
    "rmsprop",
    "sgd",
)

# The Keras losses of classification that compare one probability with one label.
LOSSES: Final = ("binary_crossentropy", "binary_focal_crossentropy")


@dataclass(frozen=True)
class ModelConfig(Section):
    """Which model to train."""

    name: str = key(
        "cnn",
        one_of("cnn", note="the only model by name"),
        "The convolutional network of the published experiment: 434,465 parameters at 128 x 128. "
        "Other models: `build_model` and `build_estimator` from Python.",
    )


@dataclass(frozen=True)
class TrainingConfig(Section):
    """How the model is trained."""

    epochs: int = key(10, whole(1), "Passes over the training images.", unit="epochs")
    batch_size: int = key(
        128, whole(1), "Images in one step of one worker.", unit="images per step and worker"
    )
    num_workers: int | str = key(
        AUTO, whole_or(AUTO, 1), 'Training tasks; "auto" takes one for each task slot of Spark.'
    )
    mode: str = key(
        "asynchronous",
        one_of("synchronous", "asynchronous", "hogwild"),
        "How the workers share weights: averaged together at each update, applied as each comes "
        "under a lock, or without the lock.",
    )
    frequency: str = key(
        "batch",
        one_of("batch", "epoch"),
        "How often a worker exchanges weights with the parameter server.",
    )
    optimizer: str = key("adam", one_of(*OPTIMIZERS), "Keras optimizer, by name.")
    learning_rate: float = key(
        0.0,
        real(lambda x: x >= 0, "a number >= 0"),
        "Learning rate of the optimizer; 0 keeps the one that Keras gives it.",
    )
    loss: str = key("binary_crossentropy", one_of(*LOSSES), "Keras loss, by name.")
    metrics: tuple[str, ...] = key(
        ("accuracy",),
        texts('a list of names of Keras metrics, such as ["accuracy"]'),
        "Keras metrics that are followed during the fit.",
    )
    precision: str = key(
        "float32",
        one_of("float32", "bfloat16", AUTO),
        "Number format in which the workers compute; weights are float32 in any. bfloat16 is "
        "faster on processors that have it; auto takes it where all of them do.",
    )
    staleness_aware: bool = key(
        True,
        flag(),
        "Whether asynchronous and hogwild updates count for less the more others came before "
        "them; false applies each whole, as Elephas does.",
    )
    class_weight: str = key(
        "none",
        one_of("none", "balanced"),
        "Weight of a row in the loss: the same for all, or such that both labels count alike.",
    )
    early_stopping: int = key(
        0,
        whole(0),
        "Stop when the validation loss has not fallen for so many epochs, and keep the best "
        "weights; 0 never stops. Needs split.validation.",
        unit="epochs",
    )
    reduce_learning_rate: int = key(
        0,
        whole(0),
        "Halve the learning rate when the validation loss has not fallen for so many epochs; 0 "
        "leaves it. Needs split.validation.",
        unit="epochs",
    )
    port: int = key(
        0,
        whole(0, 65535),
        "Port of the parameter server in the driver, which the workers must reach; 0 takes a "
        "free one.",
    )
    stall_timeout: float = key(
        # Long enough for a busy machine to miss a few signs of life.
        120.0,
        real(lambda x: x > 0, "a number > 0"),
        "Silence after which a worker counts as lost, and the fit fails.",
        unit="seconds",
    )


@dataclass(frozen=True)
class EvaluationConfig(Section):
    """How predictions are judged."""

    threshold: float = key(
        0.5,
        real(lambda x: 0 <= x <= 1, "a number from 0 to 1"),
        "Probability of glasses from which the predicted label is 1.",
        unit="probability",
    )
    cost_false_positive: float = key(
        1.0,
        real(lambda x: x >= 0, "a number >= 0"),
        "What it costs to take an image without glasses for one with; with `split.validation`, "
        "`metrics.json` tells the threshold of the least cost.",
        unit="any, the same for both costs",
    )
    cost_false_negative: float = key(
        1.0,
        real(lambda x: x >= 0, "a number >= 0"),
        "What it costs to miss glasses.",
        unit="any, the same for both costs",
    )
    calibrate: bool = key(
        False,
        flag(),
        "Whether the model's logits are divided by a temperature, fitted on the validation "
        "images, so that its probabilities come true more nearly. Needs split.validation.",
    )
    folds: int = key(
        # Of the usual 5 and 10 the one that takes half the time.
        5,
        whole(2, 100),
        "Parts of a cross-validation: as many fits, each judged on the part that it has not seen.",
        unit="folds",
    )
