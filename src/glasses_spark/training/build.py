"""Build an estimator from a Keras model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final

from glasses_spark.columns import FEATURES, LABEL, PREDICTION
from glasses_spark.config.section import declared_keys, suggest
from glasses_spark.config.training import DEFAULT_OPTIMIZER
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.named_columns import ColumnNames
from glasses_spark.training.custom_objects import find_custom_objects
from glasses_spark.training.estimator import GlassesEstimator
from glasses_spark.training.model_checks import pack_exactly, require_supported_model
from glasses_spark.training.optimizers import (
    OptimizerState,
    blank_copy,
    require_complete_config,
    require_number_or_schedule,
)
from glasses_spark.training.settings import FitSettings


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
    featuresCol: ColumnNames = FEATURES,
    labelCol: ColumnNames = LABEL,
    metrics: Any = None,
    frequency: str = "batch",
    mode: str = "asynchronous",
    *,
    seed: int = 0,
    callbacks: Sequence[Any] = (),
    rawPredictionCol: str = "",
    probabilityCol: str = "",
    predictionCol: str = "",
    thresholds: Sequence[float] | None = None,
    handleInvalid: str = "error",
    invalidReasonCol: str = "invalidReason",
    validationIndicatorCol: str | None = None,
    weightCol: str | None = None,
    class_weight: Mapping[float, float] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    weighted_metrics: Any = None,
    loss_weights: Any = None,
    outputCol: ColumnNames = PREDICTION,
    **settings: Any,
) -> GlassesEstimator:
    """Build an estimator from a compiled Keras model, as in the published experiment.

    Args:
        model: Compiled Keras model. Training starts from its weights.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows in one step of one worker, at least 1.
        categorical: Whether labels are class numbers, to be encoded as one-hot rows.
        num_workers: Number of workers, at least 1, or ``"auto"``: one for each task slot. If
            there are fewer slots than workers, workers share tasks.
        loss: Keras loss, or a list or mapping of one for each output; the model's own by
            default.
        nb_classes: Number of classes of categorical labels.
        optimizer: Keras optimizer, its name or its serialized form; the model's own by
            default. Training continues from its state.
        split: Fraction of the rows used for validation, in [0, 1).
        featuresCol: Column of pixels (binary), Spark ML vectors, arrays of numbers, numbers or
            strings. For several inputs a list in the order of ``model.inputs``, or a mapping
            from the names of the inputs.
        labelCol: Column of labels. For several outputs a list in the order of
            ``model.outputs``, or a mapping from the names of the outputs.
        metrics: Keras metrics, or a list or mapping of them for each output; the model's own by
            default.
        frequency: ``batch`` or ``epoch``: how often a worker exchanges weights.
        mode: ``synchronous``, ``asynchronous`` or ``hogwild``.
        seed: Seed from which all random choices of the fit are derived.
        callbacks: Keras callbacks, run in the driver after each epoch.
        rawPredictionCol: Column for the vector of logits, as Spark ML's classifiers add it;
            empty for none.
        probabilityCol: Column for the vector of the classes' probabilities; empty for none.
        predictionCol: Column for the class or the number; empty for none.
        thresholds: Number for each class, by which its probability is divided before the
            largest one is the prediction.
        handleInvalid: What to do with rows with null, NaN, infinity or another length:
            ``error``; ``skip`` drops them in the fit and in `transform`; ``keep`` drops them in
            the fit, and the fitted model gives them null and a reason.
        invalidReasonCol: With ``keep``, column of the reasons; empty for none.
        validationIndicatorCol: Boolean column, true in validation rows.
        weightCol: Column with the weights of the rows.
        class_weight: Weight in the loss of each label's rows; 1 for other labels.
        custom_objects: Classes and functions that the model refers to by name. Those that
            its layers, loss, metrics and optimizer use are found without being named here.
        safe_mode: Whether to refuse a ``Lambda`` layer, whose code is part of the model's
            file and would run wherever the model is loaded.
        weighted_metrics: Keras metrics that use the weights of the rows; the model's own by
            default.
        loss_weights: Weight of the loss, or a list or mapping of one for each output; the
            model's own by default.
        outputCol: Column of predictions that the fitted model adds. Of several outputs the
            first part of their columns, ``prediction_<name of the output>``, or a list or
            mapping of columns.
        settings: Further settings of the section ``[training]`` of
            ``docs/configuration.md``, such as ``learning_rate=0.01``, by the names of the
            estimator's Params. None stands for the default.

    Returns:
        The estimator.

    Raises:
        ConfigError: A value is not legal or does not fit the model's inputs and outputs, or
            the model is not compiled and there is no ``loss``.
        TrainingError: The workers could not train the model as Keras does.
        TypeError: There is no such setting.
    """
    _require_known(settings)
    require_supported_model(model)
    compiled = _compile_settings(model)
    loss = compiled.get("loss") if loss is None else loss
    if loss is None:
        raise ConfigError("loss: expected a compiled model or a loss, got neither")
    if optimizer is None:
        optimizer = model.optimizer if model.compiled else DEFAULT_OPTIMIZER
    if metrics is None:
        metrics = compiled.get("metrics") or []
    if weighted_metrics is None:
        weighted_metrics = compiled.get("weighted_metrics") or []
    if loss_weights is None:
        loss_weights = compiled.get("loss_weights")
    used = (loss, metrics, weighted_metrics, optimizer)
    objects = find_custom_objects(model, used) | dict(custom_objects or {})
    optimizer, optimizer_state = _parted(optimizer, model)
    archive = pack_exactly(model, objects, safe_mode=safe_mode)
    optional = {
        "validationIndicatorCol": validationIndicatorCol,
        "weightCol": weightCol,
        "thresholds": thresholds,
    }
    estimator = GlassesEstimator(
        keras_model_config=model.to_json(),
        initial_weights=model.get_weights(),
        custom_objects=objects,
        callbacks=callbacks,
        epochs=epochs,
        batch_size=batch_size,
        categorical=categorical,
        num_workers=num_workers,
        loss=loss,
        nb_classes=nb_classes,
        optimizer_config=optimizer,
        validation_split=split,
        featuresCol=featuresCol,
        labelCol=labelCol,
        metrics=metrics if isinstance(metrics, Mapping) else list(metrics),
        loss_weights=loss_weights,
        outputCol=outputCol,
        frequency=frequency,
        mode=mode,
        seed=seed,
        rawPredictionCol=rawPredictionCol,
        probabilityCol=probabilityCol,
        predictionCol=predictionCol,
        handleInvalid=handleInvalid,
        invalidReasonCol=invalidReasonCol,
        class_weight=class_weight,
        weighted_metrics=(
            weighted_metrics if isinstance(weighted_metrics, Mapping) else list(weighted_metrics)
        ),
        **{name: value for name, value in optional.items() if value is not None},
        **settings,
    )
    estimator.require_columns()
    estimator.set_archive(archive, safe_mode=safe_mode)
    return estimator.set_optimizer_state(optimizer_state)


def _further_settings() -> list[inspect.Parameter]:
    """Return the settings that `build_estimator` has no argument for, as parameters."""
    defaults = FitSettings()
    # Elephas calls the fraction of validation rows `split`.
    explicit = {*inspect.signature(build_estimator).parameters, "validation_split"}
    return [
        inspect.Parameter(
            key.param or name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(defaults, name),
            annotation=type(getattr(defaults, name)).__name__,
        )
        for name, key in declared_keys(FitSettings).items()
        if name not in explicit
    ]


_FURTHER_SETTINGS: Final = _further_settings()

# So that help() and editors list all settings.
_EXPLICIT: Final = inspect.signature(build_estimator)
build_estimator.__signature__ = _EXPLICIT.replace(  # type: ignore[attr-defined]
    parameters=[*list(_EXPLICIT.parameters.values())[:-1], *_FURTHER_SETTINGS]
)


def _require_known(settings: Mapping[str, Any]) -> None:
    known = {parameter.name: parameter for parameter in _FURTHER_SETTINGS}
    for name in settings:
        if name not in known:
            raise TypeError(f"build_estimator has no setting {name!r}{suggest(name, known)}")


def _parted(optimizer: Any, model: Any) -> tuple[Any, OptimizerState]:
    """Part an optimizer into its serialized form and its state."""
    keras = import_keras()
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer, OptimizerState()
    # First: Keras cannot always serialize a function, and says so differently.
    require_number_or_schedule(optimizer)
    state = OptimizerState.of(optimizer, model.trainable_weights)
    blank = blank_copy(optimizer)
    require_complete_config(blank)
    return keras.optimizers.serialize(blank), state


def _compile_settings(model: Any) -> Mapping[str, Any]:
    """Return the arguments of ``model.compile``, as the user gave them."""
    if not model.compiled:
        return {}
    # The public get_compile_config serializes them, which loses arguments of some, and lacks
    # the metrics of an earlier compile that Keras keeps.
    losses, metrics = model._compile_loss, model._compile_metrics
    compiled = {
        "loss": getattr(losses, "_user_loss", None),
        "loss_weights": getattr(losses, "_user_loss_weights", None),
        "metrics": getattr(metrics, "_user_metrics", None),
        "weighted_metrics": getattr(metrics, "_user_weighted_metrics", None),
    }
    if model.run_eagerly:
        raise ConfigError(
            "run_eagerly: expected a model compiled without it; the workers trace the model once "
            "and run the graph"
        )
    return compiled
