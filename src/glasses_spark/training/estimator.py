"""Estimator: a Keras model that Spark ML can fit; drop-in for Elephas' own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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

from glasses_spark.config.fields import AUTO
from glasses_spark.errors import ConfigError
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.elephas import ElephasEstimator
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.storage import read_metadata, read_weights, write_metadata, write_weights
from glasses_spark.scoring.transformer import ELEPHAS_SUFFIXES, GlassesModel
from glasses_spark.seeds import derive_seed
from glasses_spark.training.model_checks import (
    build_seeded,
    model_type_of,
    require_built,
    require_mean_loss,
)
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.params import STALL_TIMEOUT_S, plain, require_valid, serialized
from glasses_spark.training.precision import FLOAT32
from glasses_spark.training.settings import Columns, FitSettings
from glasses_spark.training.trainer import Trainer
from glasses_spark.training.weights import travelling_variables


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
        kwargs = {name: plain(value) for name, value in kwargs.items()}
        for name, value in kwargs.items():
            require_valid(name, value)
        for name in ("optimizer_config", "loss", "metrics"):
            if name in kwargs:
                kwargs[name] = serialized(kwargs[name])
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
            model_type=model_type_of(model, loss),
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
        require_mean_loss(spec.loss)
        model = build_seeded(spec, derive_seed(self.getSeed(), "weights"))
        require_built(model)
        if self.initial_weights is not None:
            model.set_weights([np.asarray(weight) for weight in self.initial_weights])
        travelling = {id(v) for group in travelling_variables(model) for v in group}
        frozen = {
            place: variable.numpy()
            for place, variable in enumerate(model.weights)
            if id(variable) not in travelling
        }
        return model, ModelSpec(**{**vars(spec), "frozen": frozen})


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
