"""Estimator: a Keras model that Spark ML can fit; drop-in for Elephas' own."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pyspark import keyword_only
from pyspark.ml.param import Param, TypeConverters
from pyspark.ml.param.shared import (
    HasRawPredictionCol,
    HasSeed,
    HasValidationIndicatorCol,
    HasWeightCol,
)
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter
from pyspark.sql import DataFrame

from glasses_spark.backend import import_keras
from glasses_spark.errors import ConfigError, TrainingError
from glasses_spark.loading import hadoop
from glasses_spark.scoring.storage import (
    read_metadata,
    read_weights,
    write_metadata,
    write_weights,
)
from glasses_spark.scoring.transformer import ELEPHAS_SUFFIXES, GlassesModel
from glasses_spark.seeds import derive_seed
from glasses_spark.training.precision import FLOAT32, PRECISIONS
from glasses_spark.training.schedule import FREQUENCIES, MODES
from glasses_spark.training.steps import ModelSpec
from glasses_spark.training.trainer import AUTO, Columns, FitSettings, Trainer
from glasses_spark.training.weights import travelling_variables

import_keras()  # quietly, before Elephas does it with all of TensorFlow's noise

from elephas.ml_model import ElephasEstimator  # noqa: E402
from elephas.utils.model_utils import LossModelTypeMapper, ModelType  # noqa: E402

# Long enough for a busy machine to miss a few signs of life, short enough to be
# noticed by whoever waits.
STALL_TIMEOUT_S = 120.0

_seeding = threading.Lock()


class GlassesEstimator(
    ElephasEstimator, HasSeed, HasWeightCol, HasValidationIndicatorCol, HasRawPredictionCol
):
    """Trains a Keras model on a Spark frame, by the workers of one Spark job.

    Takes the parameters of Elephas' ``ElephasEstimator``, and these as well:

    - ``num_workers``: also ``"auto"`` (the default): one worker a task slot.
    - ``seed``: every random choice is derived from it; 0 by default.
    - ``weightCol``: column with the weight of each row in the loss.
    - ``validationIndicatorCol``: boolean column; rows where it is true are held
      back for validation, in place of ``validation_split``.
    - ``rawPredictionCol``: column for logits that the fitted model adds.
    - ``class_weight``: weights of the labels' rows in the loss, such as ``{1.0: 2.0}``.
    - ``stall_timeout``: seconds of silence after which a worker counts as lost.
    - ``parameter_server_port``: port in the driver that the workers reach; 0,
      the default, takes a free one.
    - ``precision``: ``float32`` (the default), ``bfloat16``, or ``auto``, which takes
      bfloat16 where all executors' processors compute it natively. Weights,
      updates and predictions of the fitted model are float32 in any case.
    - ``staleness_aware``: whether asynchronous and hogwild updates count for less the
      more others came before them (the default), or whole, as with Elephas.
    - ``initial_weights``: weights to start from, as ``model.get_weights()``
      gives them; without them the model's own initializers are used, seeded.
    - ``callbacks``: Keras callbacks, run in the driver after each epoch. They
      are not saved with the estimator.

    ``fit`` returns a `GlassesModel`.
    """

    @keyword_only
    def __init__(self, **kwargs: Any) -> None:
        self.initial_weights: Sequence[Any] | None = kwargs.pop("initial_weights", None)
        self.callbacks: Sequence[Any] = tuple(kwargs.pop("callbacks", ()))
        # What Elephas' constructor passes on is what pyspark noted when it was called.
        self._input_kwargs = kwargs
        super().__init__(**kwargs)

    def _declare(self) -> None:
        self.stall_timeout = Param(
            self,
            "stall_timeout",
            "seconds of silence after which a worker counts as lost",
            TypeConverters.toFloat,
        )
        self.parameter_server_port = Param(
            self,
            "parameter_server_port",
            "port in the driver that the workers reach; 0 takes a free one",
            TypeConverters.toInt,
        )
        self.precision = Param(
            self,
            "precision",
            "number format in which the workers compute: float32, bfloat16 or auto",
            TypeConverters.toString,
        )
        self.staleness_aware = Param(
            self,
            "staleness_aware",
            "whether asynchronous updates count for less the staler they are",
            TypeConverters.toBoolean,
        )
        # By the text of the label, as a parameter is saved as JSON.
        self.class_weight: Param[Any] = Param(
            self, "class_weight", "weights of the labels' rows in the loss"
        )
        self._setDefault(
            class_weight={},
            parameter_server_port=0,
            precision=FLOAT32,
            staleness_aware=True,
            num_workers=AUTO,
            optimizer_config="adam",
            validation_split=0.0,
            seed=0,
            rawPredictionCol="",
            stall_timeout=STALL_TIMEOUT_S,
        )

    def set_params(self, **kwargs: Any) -> GlassesEstimator:
        """Set parameters by name.

        Raises:
            ConfigError: A value is not one that a fit could use.
        """
        if not hasattr(self, "stall_timeout"):
            self._declare()
        self._set(**kwargs)
        return self

    def _set(self, **kwargs: Any) -> GlassesEstimator:
        kwargs = {name: _plain(value) for name, value in kwargs.items()}
        for name, value in kwargs.items():
            _require_valid(name, value)
        for name in ("optimizer_config", "loss", "metrics"):
            if name in kwargs:
                kwargs[name] = _serialized(kwargs[name])
        if "class_weight" in kwargs:
            weights = kwargs["class_weight"] or {}
            kwargs["class_weight"] = {str(float(k)): float(v) for k, v in weights.items()}
        super()._set(**kwargs)
        return self

    def copy(self, extra: Mapping[Param[Any], Any] | None = None) -> GlassesEstimator:
        """Copy the estimator, as Spark ML's model selection does before each fit.

        Args:
            extra: Other values of parameters, checked as ``set_params`` does.

        Returns:
            The copy; it has the same initial weights, and the very callbacks: two fits
            at once share what these remember.
        """
        that: GlassesEstimator = super().copy()
        return that._set(**{param.name: value for param, value in (extra or {}).items()})

    def set_mode(self, mode: str) -> GlassesEstimator:
        """Set the mode: ``synchronous``, ``asynchronous`` or ``hogwild``."""
        return self._set(mode=mode)

    def set_frequency(self, frequency: str) -> GlassesEstimator:
        """Set how often workers push: each ``batch`` or each ``epoch``."""
        return self._set(frequency=frequency)

    def set_epochs(self, epochs: int) -> GlassesEstimator:
        """Set the count of epochs, at least 1."""
        return self._set(epochs=epochs)

    def set_batch_size(self, batch_size: int) -> GlassesEstimator:
        """Set the rows in one step of one worker, at least 1."""
        return self._set(batch_size=batch_size)

    def set_num_workers(self, num_workers: int | str) -> GlassesEstimator:
        """Set the count of workers, at least 1, or ``"auto"``."""
        return self._set(num_workers=num_workers)

    def set_validation_split(self, validation_split: float) -> GlassesEstimator:
        """Set the share of rows held back for validation, in [0, 1)."""
        return self._set(validation_split=validation_split)

    def set_optimizer_config(self, optimizer_config: Any) -> GlassesEstimator:
        """Set the optimizer: its name, its serialized form, or a Keras optimizer."""
        return self._set(optimizer_config=optimizer_config)

    def set_initial_weights(self, weights: Sequence[Any] | None) -> GlassesEstimator:
        """Set the weights to start from, as ``model.get_weights()`` gives them."""
        self.initial_weights = weights
        return self

    def set_callbacks(self, callbacks: Iterable[Any]) -> GlassesEstimator:
        """Set the Keras callbacks that the driver runs after each epoch."""
        self.callbacks = tuple(callbacks)
        return self

    def get_config(self) -> dict[str, Any]:
        """The parameters as Elephas keeps them, and ours, and the optimizer."""
        return {
            **super().get_config(),
            "optimizer_config": self.get_optimizer_config(),
            "seed": self.getSeed(),
            "rawPredictionCol": self.getRawPredictionCol(),
            "stall_timeout": self.getOrDefault(self.stall_timeout),
            "parameter_server_port": self.getOrDefault(self.parameter_server_port),
            "precision": self.getOrDefault(self.precision),
            "staleness_aware": self.getOrDefault(self.staleness_aware),
            "class_weight": self.getOrDefault(self.class_weight),
        }

    def save(self, path: str) -> None:
        """Save the estimator: ``.h5`` in Elephas' form, else as a Spark ML folder."""
        if str(path).endswith(ELEPHAS_SUFFIXES):
            super().save(path)
        else:
            self.write().save(path)

    def write(self) -> MLWriter:
        """A writer for a Spark ML folder, also inside a ``Pipeline``."""
        return _EstimatorWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """A reader of what `write` wrote."""
        return _EstimatorReader()

    def _fit(self, frame: DataFrame) -> GlassesModel:
        model, spec = self._build()
        loss = self.get_loss()
        trainer = Trainer(model, spec, self._settings(), self.callbacks)
        history = trainer.fit(frame, self._columns())
        fitted = GlassesModel(
            labelCol=self.getLabelCol(),
            outputCol=self.getOutputCol(),
            featuresCol=self.getFeaturesCol(),
            rawPredictionCol=self.getRawPredictionCol(),
            keras_model_config=self.get_keras_model_config(),
            weights=model.get_weights(),
            custom_objects=self.get_custom_objects(),
            model_type=_model_type(model, loss),
            history=[record.as_dict() for record in history],
        )
        return fitted

    def _settings(self) -> FitSettings:
        return FitSettings(
            epochs=self.get_epochs(),
            batch_size=self.get_batch_size(),
            num_workers=self.get_num_workers(),
            mode=self.get_mode(),
            frequency=self.get_frequency(),
            classes=self.get_nb_classes() if self.get_categorical_labels() else None,
            validation_split=self.get_validation_split(),
            seed=self.getSeed(),
            stall_timeout=self.getOrDefault(self.stall_timeout),
            port=self.getOrDefault(self.parameter_server_port),
            class_weights={
                float(label): weight
                for label, weight in self.getOrDefault(self.class_weight).items()
            },
            precision=self.getOrDefault(self.precision),
            staleness_aware=self.getOrDefault(self.staleness_aware),
        )

    def _columns(self) -> Columns:
        def optional(param: Any) -> str | None:
            return self.getOrDefault(param) if self.isDefined(param) else None

        return Columns(
            features=self.getFeaturesCol(),
            label=self.getLabelCol(),
            weight=optional(self.weightCol) or None,
            validation=optional(self.validationIndicatorCol) or None,
        )

    def _build(self) -> tuple[Any, ModelSpec]:
        """Build the master model, and say how the workers build theirs."""
        for param in ("keras_model_config", "loss"):
            if not self.isDefined(param):
                raise ConfigError(f"{param}: expected a value, got none; set it before fit")
        keras = import_keras()
        spec = ModelSpec(
            config=self.get_keras_model_config(),
            loss=self.get_loss(),
            metrics=tuple(self.get_metrics() or ()),
            optimizer=self.get_optimizer_config() or "adam",
            custom_objects=self.get_custom_objects() or {},
            floatx=keras.config.floatx(),
        )
        _require_mean_loss(spec.loss)
        model = _build_seeded(spec, derive_seed(self.getSeed(), "weights"))
        _require_built(model)
        if self.initial_weights is not None:
            model.set_weights([np.asarray(weight) for weight in self.initial_weights])
        travelling = {id(v) for group in travelling_variables(model) for v in group}
        frozen = {
            place: variable.numpy()
            for place, variable in enumerate(model.weights)
            if id(variable) not in travelling
        }
        return model, ModelSpec(**{**vars(spec), "frozen": frozen})


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


def load_ml_estimator(file_name: str) -> GlassesEstimator:
    """Load an estimator from an ``.h5`` file, written here or by Elephas.

    Raises:
        TrainingError: The file is not there or holds no such estimator.
    """
    if not Path(file_name).is_file():
        raise TrainingError(f"{file_name}: expected a saved estimator, got no such file")
    with h5py.File(file_name, mode="r") as file:
        stored = file.attrs.get("distributed_config")
    if stored is None:
        raise TrainingError(f"{file_name}: expected an estimator saved by Elephas, got other HDF5")
    config = json.loads(stored)["config"]
    return GlassesEstimator(**{name: value for name, value in config.items() if value is not None})


class _EstimatorWriter(MLWriter):
    def __init__(self, estimator: GlassesEstimator) -> None:
        super().__init__()
        self._estimator = estimator

    def saveImpl(self, path: str) -> None:
        stage = self._estimator.copy()
        # Functions and classes have no place in JSON; they are set again after loading.
        stage.clear(stage.custom_objects)
        metadata = DefaultParamsWriter._get_metadata_to_save(stage, self.sparkSession)
        write_metadata(self.sparkSession, f"{path}/metadata", metadata)
        if self._estimator.initial_weights is not None:
            weights = [np.asarray(weight) for weight in self._estimator.initial_weights]
            write_weights(self.sparkSession, f"{path}/weights", weights)


class _EstimatorReader(MLReader[GlassesEstimator]):
    def load(self, path: str) -> GlassesEstimator:
        metadata = json.loads(read_metadata(self.sparkSession, f"{path}/metadata"))
        estimator = GlassesEstimator()
        estimator._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(estimator, metadata)
        if hadoop.exists(self.sparkSession, f"{path}/weights"):
            estimator.initial_weights = read_weights(self.sparkSession, f"{path}/weights")
        return estimator


def _require_valid(name: str, value: Any) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    checks: Mapping[str, tuple[bool, str]] = {
        "mode": (value in MODES, f"one of {', '.join(MODES)}"),
        "frequency": (value in FREQUENCIES, f"one of {', '.join(FREQUENCIES)}"),
        "epochs": (whole and value >= 1, "a whole number of at least 1"),
        "batch_size": (whole and value >= 1, "a whole number of at least 1"),
        "num_workers": (
            value == AUTO or (whole and value >= 1),
            "a whole number of at least 1, or 'auto'",
        ),
        "validation_split": (number and 0 <= value < 1, "a number in [0, 1)"),
        "nb_classes": (whole and value >= 1, "a whole number of at least 1"),
        "stall_timeout": (number and value > 0, "a number of seconds above 0"),
        "parameter_server_port": (whole and 0 <= value < 65536, "a port, 0 to 65535"),
        "precision": (value in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        "staleness_aware": (isinstance(value, bool), "true or false"),
        "class_weight": (_are_weights(value), "a number of at least 0 for each label"),
        "loss": (
            not isinstance(value, Mapping) or "class_name" in value,
            "one loss, as the model has one output",
        ),
        "metrics": (value is None or isinstance(value, (list, tuple)), "a list of metrics"),
    }
    if name in checks and not checks[name][0]:
        raise ConfigError(f"{name}: expected {checks[name][1]}, got {value!r}")


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python, which Spark can save."""
    return value.item() if isinstance(value, np.generic) else value


def _are_weights(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, Mapping):
        return False
    return all(isinstance(w, (int, float)) and w >= 0 for w in value.values())


def _serialized(value: Any) -> Any:
    """An optimizer, loss or metric of Keras itself as what its own functions make of it.

    A metric object holds variables: unpickled in a worker it would start
    TensorFlow before its threads are set. Classes of the user's are left to
    the pickling, which brings their code along.
    """
    if isinstance(value, (list, tuple)):
        return [_serialized(one) for one in value]
    keras = import_keras()
    kinds = (keras.optimizers.Optimizer, keras.losses.Loss, keras.metrics.Metric)
    if isinstance(value, kinds) and type(value).__module__.startswith("keras."):
        return keras.saving.serialize_keras_object(value)
    return value


def _build_seeded(spec: ModelSpec, seed: int) -> Any:
    """Build a model whose initializers, where they have no seed of their own, are seeded."""
    # Keras draws such seeds from Python's generator, which is the user's as
    # well, and that of a fit in another thread.
    with _seeding:
        kept = random.getstate()
        random.seed(seed)
        try:
            return spec.build()
        finally:
            random.setstate(kept)


def _require_mean_loss(loss: Any) -> None:
    """Refuse a loss that is no mean over the rows: means of workers add up, others do not."""
    config = loss.get("config") if isinstance(loss, Mapping) else None
    reduction = (
        config.get("reduction") if isinstance(config, Mapping) else getattr(loss, "reduction", None)
    )
    if reduction not in (None, "sum_over_batch_size", "mean"):
        raise TrainingError(
            f"loss: expected the reduction 'sum_over_batch_size', got {reduction!r}, which "
            "depends on how many rows a worker has in a batch"
        )


def _require_built(model: Any) -> None:
    if not model.built:
        raise TrainingError(
            "expected a model that knows the shape of its input, got one without; begin it with "
            "keras.Input(shape)"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise TrainingError(
            f"expected a model with one input and one output, got {len(model.inputs)} and "
            f"{len(model.outputs)}"
        )


def _model_type(model: Any, loss: Any) -> ModelType:
    """Whether a row's prediction is an array (classification) or a number (regression)."""
    known = LossModelTypeMapper().get_model_type(loss) if isinstance(loss, str) else None
    if known is not None:
        return known
    activation = getattr(model.layers[-1], "activation", None)
    squashed = getattr(activation, "__name__", "") in ("sigmoid", "softmax")
    one_number = model.output_shape[1:] == (1,)
    return ModelType.REGRESSION if one_number and not squashed else ModelType.CLASSIFICATION
