"""Sections about the model, its training and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from glasses_spark.config.fields import (
    AUTO,
    flag,
    key,
    number,
    one_of,
    texts,
    whole_number,
    whole_number_or,
)
from glasses_spark.config.section import Section, declared_keys

SYNCHRONOUS: Final = "synchronous"
ASYNCHRONOUS: Final = "asynchronous"
HOGWILD: Final = "hogwild"

BATCH: Final = "batch"
EPOCH: Final = "epoch"

FLOAT32: Final = "float32"
BFLOAT16: Final = "bfloat16"

SHARED_BATCH: Final = "shared_batch"
SCALED_RATE: Final = "scaled_rate"

KERAS_KERNELS: Final = "keras"

UNWEIGHTED: Final = "none"
BALANCED: Final = "balanced"

DEFAULT_OPTIMIZER: Final = "adam"

# By name and with its defaults, each trains the CNN. Keras' Adafactor does not: its default
# `epsilon_1` underflows in float32. ScheduleFreeAdamW has to be built by the user.
OPTIMIZERS: Final = (
    "adadelta",
    "adagrad",
    DEFAULT_OPTIMIZER,
    "adamax",
    "adamw",
    "ftrl",
    "lamb",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "sgd",
)

# The Keras losses of classification that compare one probability with one label.
LOSSES: Final = ("binary_crossentropy", "binary_focal_crossentropy")

# A cross-validation of one fold has no images to train on.
FEWEST_FOLDS: Final = 2


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
class TrainingSettings(Section):
    """Settings of a fit that the TOML file, the estimator and ``build_estimator`` share.

    Each field is a key of ``[training]`` in the TOML file, a Param of
    ``GlassesEstimator`` and a keyword of ``build_estimator``.
    """

    epochs: int = key(10, whole_number(1), "Passes over the training images.", unit="epochs")
    batch_size: int = key(
        128,
        whole_number(1),
        "Images in a batch. A synchronous step has a batch of each worker; asynchronous and "
        "hogwild workers divide a batch among them, see asynchronous_rule.",
        unit="images per batch",
    )
    num_workers: int | str = key(
        AUTO,
        whole_number_or(AUTO, 1),
        'Number of training workers, each with its own share of the images; "auto" takes one for '
        "each task slot of Spark. If there are fewer slots than workers, workers share tasks.",
    )
    mode: str = key(
        ASYNCHRONOUS,
        one_of(SYNCHRONOUS, ASYNCHRONOUS, HOGWILD),
        "How the workers share weights: updates are averaged over all workers, or applied one by "
        "one under a lock, or applied without a lock.",
    )
    frequency: str = key(
        BATCH,
        one_of(BATCH, EPOCH),
        "How often a worker exchanges weights with the parameter server.",
    )
    learning_rate: float = key(
        0.0,
        number(lambda x: x >= 0, "a number >= 0"),
        "Learning rate of the optimizer; 0 keeps the optimizer's own.",
    )
    precision: str = key(
        FLOAT32,
        one_of(FLOAT32, BFLOAT16, AUTO),
        "Number format in which the workers compute; the weights are float32 in each. bfloat16 is "
        'faster on processors with instructions for it; "auto" takes it if all executors have '
        "them.",
    )
    cpu_kernels: str = key(
        # The default computes exactly what Keras computes.
        KERAS_KERNELS,
        one_of(AUTO, KERAS_KERNELS),
        'How convolutions are computed on a CPU: "keras" as Keras does; "auto" with faster '
        "kernels where the processor has AVX-512, whose results differ by float rounding.",
    )
    staleness_aware: bool = key(
        True,
        flag(),
        "Whether asynchronous and hogwild updates count such that several workers train as well as "
        "one, see asynchronous_rule; false applies each in full, as Elephas does.",
    )
    asynchronous_rule: str = key(
        SHARED_BATCH,
        one_of(SHARED_BATCH, SCALED_RATE),
        "How updates of several asynchronous or hogwild workers count: "
        '"shared_batch" divides each batch among the workers, whose gradients together are one '
        "step (by epoch, workers take steps of such a part of a batch); "
        '"scaled_rate" takes a step for each batch of a worker, the smaller the more stale it is, '
        "with fewer exchanges and less accurate weights. Needs staleness_aware.",
    )
    early_stopping: int = key(
        0,
        whole_number(0),
        "Stop when the validation loss has not fallen for this many epochs, and restore the best "
        "weights; 0 never stops. Needs validation images, see `split.validation`.",
        unit="epochs",
    )
    reduce_learning_rate: int = key(
        0,
        whole_number(0),
        "Halve the learning rate when the validation loss has not fallen for this many epochs; 0 "
        "keeps it. Needs validation images, see `split.validation`.",
        unit="epochs",
    )
    port: int = key(
        0,
        whole_number(0, 65535),
        "Port of the parameter server in the driver, which the workers must reach; 0 takes a "
        "free one.",
        param="parameter_server_port",
    )
    shared_memory: bool = key(
        True,
        flag(),
        "Whether workers on the driver's machine exchange weights with it through memory instead "
        "of a connection. Takes memory for an update of each worker and the weights.",
    )
    stall_timeout: float = key(
        # Long enough for a busy machine to miss a few heartbeats.
        120.0,
        number(lambda x: x > 0, "a number > 0"),
        "Time without a heartbeat after which a worker counts as lost, and the fit fails.",
        unit="seconds",
    )

    def params(self) -> dict[str, Any]:
        """Return the settings of a fit by the names of the estimator's Params."""
        return {
            setting.param or name: getattr(self, name)
            for name, setting in declared_keys(TrainingSettings).items()
        }

    def validation_settings(self) -> dict[str, int]:
        """Return the settings in use that need validation images, by name of the field."""
        names = ("early_stopping", "reduce_learning_rate")
        return {name: value for name in names if (value := getattr(self, name))}


@dataclass(frozen=True)
class TrainingConfig(TrainingSettings):
    """How the model is trained."""

    # From here on: settings by name. The Params of these names take Keras objects, and the
    # weight of each label.
    optimizer: str = key(DEFAULT_OPTIMIZER, one_of(*OPTIMIZERS), "Keras optimizer, by name.")
    loss: str = key("binary_crossentropy", one_of(*LOSSES), "Keras loss, by name.")
    metrics: tuple[str, ...] = key(
        ("accuracy",),
        texts('a list of names of Keras metrics, such as ["accuracy"]'),
        "Keras metrics to compute in each epoch.",
    )
    class_weight: str = key(
        UNWEIGHTED,
        one_of(UNWEIGHTED, BALANCED),
        "Weight of an image in the loss: the same for all, or such that both labels have the same "
        "total weight.",
    )


@dataclass(frozen=True)
class EvaluationConfig(Section):
    """How predictions are evaluated."""

    threshold: float = key(
        0.5,
        number(lambda x: 0 <= x <= 1, "a number from 0 to 1"),
        "Probability of glasses from which the predicted label is 1.",
        unit="probability",
    )
    cost_false_positive: float = key(
        1.0,
        number(lambda x: x >= 0, "a number >= 0"),
        "Cost of a false positive, an image without glasses that is predicted to show some. With "
        "`split.validation`, `metrics.json` has the threshold of the lowest cost.",
        unit="any, the same for both costs",
    )
    cost_false_negative: float = key(
        1.0,
        number(lambda x: x >= 0, "a number >= 0"),
        "Cost of a false negative, an image with glasses that is predicted to show none.",
        unit="any, the same for both costs",
    )
    calibrate: bool = key(
        False,
        flag(),
        "Whether to divide the model's logits by a temperature, fitted on the validation images, "
        "for better calibrated probabilities. Needs split.validation.",
    )
    scoring_runtime: str = key(
        "keras",
        one_of("keras", "onnx", "openvino", "auto"),
        "What computes the model when images are scored. Others than Keras are compared with it on "
        "256 random images first; `auto` takes Keras where they differ by more than 1e-5. They "
        "need the extra `scoring` on each machine.",
    )
    scoring_precision: str = key(
        "float32",
        one_of("float32", "bfloat16"),
        "Number format in which the model is computed when images are scored. `bfloat16` needs "
        "`scoring_runtime` openvino or auto, and changes the third digit of a probability.",
    )
    folds: int = key(
        # Of the usual 5 and 10 the one that takes half the time.
        5,
        whole_number(FEWEST_FOLDS, 100),
        "Number of folds of a cross-validation; each fold is the test set of one fit.",
        unit="folds",
    )
