"""Build an estimator from a Keras model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.estimator import GlassesEstimator
from glasses_spark.training.params import STALL_TIMEOUT_S
from glasses_spark.training.precision import FLOAT32


def build_estimator(
    model: Any,
    epochs: int,
    batch_size: int,
    categorical: bool,
    num_workers: int | str = 1,
    loss: Any = None,
    nb_classes: int | None = None,
    optimizer: Any = None,
    split: float = 0.0,
    featuresCol: str = "features",
    labelCol: str = "label",
    metrics: Sequence[Any] | None = None,
    frequency: str = "batch",
    mode: str = "asynchronous",
    *,
    seed: int = 0,
    callbacks: Sequence[Any] = (),
    rawPredictionCol: str = "",
    validationIndicatorCol: str | None = None,
    weightCol: str | None = None,
    class_weight: Mapping[float, float] | None = None,
    stall_timeout: float = STALL_TIMEOUT_S,
    parameter_server_port: int = 0,
    precision: str = FLOAT32,
    staleness_aware: bool = True,
) -> GlassesEstimator:
    """Make an estimator from a compiled Keras model, as the published experiment does.

    Args:
        model: Compiled Keras model. Training starts from its weights.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows in one step of one worker, at least 1.
        categorical: Whether labels are class numbers to be made one-hot.
        num_workers: Count of workers, at least 1, or ``"auto"``: one a task slot.
        loss: Keras loss; the model's own by default.
        nb_classes: Count of classes where ``categorical``.
        optimizer: Keras optimizer, its name or its serialized form; the
            model's own by default.
        split: Share of the rows held back for validation, in [0, 1).
        featuresCol: Column of pixels (binary), Spark ML vectors or arrays.
        labelCol: Column of labels.
        metrics: Keras metrics; the model's own by default.
        frequency: ``batch`` or ``epoch``: when a worker exchanges weights.
        mode: ``synchronous``, ``asynchronous`` or ``hogwild``.
        seed: Seed of the run.
        callbacks: Keras callbacks, run in the driver after each epoch.
        rawPredictionCol: Column for logits; empty for none.
        validationIndicatorCol: Boolean column that marks validation rows.
        weightCol: Column with the weights of the rows.
        class_weight: Weight of each label's rows in the loss; 1 where it is not named.
        stall_timeout: Seconds of silence after which a worker counts as lost.
        parameter_server_port: Port in the driver that the workers reach; 0
            takes a free one.
        precision: ``float32``, ``bfloat16`` or ``auto``: the format in which
            workers compute.
        staleness_aware: Whether asynchronous and hogwild updates count for less
            the more others came before them, or whole, as with Elephas.

    Returns:
        The estimator.

    Raises:
        ConfigError: A value is not one that a fit could use, or the model is
            not compiled and ``loss`` is not given.
    """
    keras = import_keras()
    compiled = (model.get_compile_config() or {}) if model.compiled else {}
    for name in ("weighted_metrics", "loss_weights"):
        if compiled.get(name):
            raise ConfigError(
                f"{name}: expected a model compiled without it, got {compiled[name]!r}; "
                "a fit by many workers does not use it"
            )
    loss = compiled.get("loss") if loss is None else loss
    if loss is None:
        raise ConfigError("loss: expected a compiled model or a loss, got neither")
    if optimizer is None:
        optimizer = keras.optimizers.serialize(model.optimizer) if model.compiled else "adam"
    if metrics is None:
        metrics = compiled.get("metrics") or []
    optional = {
        "nb_classes": nb_classes,
        "validationIndicatorCol": validationIndicatorCol,
        "weightCol": weightCol,
    }
    return GlassesEstimator(
        keras_model_config=model.to_json(),
        initial_weights=model.get_weights(),
        callbacks=callbacks,
        epochs=epochs,
        batch_size=batch_size,
        categorical=categorical,
        num_workers=num_workers,
        loss=loss,
        optimizer_config=optimizer,
        validation_split=split,
        featuresCol=featuresCol,
        labelCol=labelCol,
        metrics=list(metrics),
        frequency=frequency,
        mode=mode,
        seed=seed,
        rawPredictionCol=rawPredictionCol,
        class_weight=dict(class_weight or {}),
        stall_timeout=stall_timeout,
        parameter_server_port=parameter_server_port,
        precision=precision,
        staleness_aware=staleness_aware,
        **{name: value for name, value in optional.items() if value is not None},
    )
