"""Estimator: fits a Keras model in Spark ML; drop-in for Elephas' own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pyspark import keyword_only
from pyspark.ml.param.shared import (
    HasRawPredictionCol,
    HasSeed,
    HasValidationIndicatorCol,
    HasWeightCol,
)
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter
from pyspark.sql import DataFrame

from glasses_spark.config.training import DEFAULT_OPTIMIZER
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
    require_mean_loss,
    require_supported_model,
)
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.output_kind import output_kind
from glasses_spark.training.params import TrainingParams, default_params
from glasses_spark.training.settings import SETTINGS, Columns
from glasses_spark.training.trainer import Trainer
from glasses_spark.training.weights import frozen_weights


class GlassesEstimator(
    TrainingParams,
    ElephasEstimator,
    HasSeed,
    HasWeightCol,
    HasValidationIndicatorCol,
    HasRawPredictionCol,
):
    """Trains a Keras model on a Spark DataFrame, with the workers of one Spark job.

    Takes the Params of Elephas' ``ElephasEstimator``, and these:

    - the settings of the section ``[training]`` of ``docs/configuration.md``, by the
      same names, except ``parameter_server_port`` for ``port``. ``explainParams()``
      lists them with their defaults.
    - ``seed``: all random choices are derived from it; 0 by default.
    - ``weightCol``: column with the weight of each row in the loss.
    - ``validationIndicatorCol``: boolean column, true in validation rows; it replaces
      ``validation_split``.
    - ``rawPredictionCol``: column for logits that the fitted model adds.
    - ``class_weight``: weights of the labels' rows in the loss, such as ``{1.0: 2.0}``.

    Two more arguments are not Params:

    - ``initial_weights``: weights to start from, as returned by
      ``model.get_weights()``; without them the model's own initializers are used,
      seeded.
    - ``callbacks``: Keras callbacks, run in the driver after each epoch. They are not
      saved with the estimator.

    ``fit`` returns a `GlassesModel`.
    """

    @keyword_only
    def __init__(self, **kwargs: Any) -> None:
        self.initial_weights: Sequence[Any] | None = kwargs.pop("initial_weights", None)
        self.callbacks: Sequence[Any] = tuple(kwargs.pop("callbacks", ()))
        # Elephas' constructor passes on the arguments that pyspark noted at the call.
        self._input_kwargs = kwargs
        super().__init__(**kwargs)
        self._setDefault(
            optimizer_config=DEFAULT_OPTIMIZER, rawPredictionCol="", **default_params()
        )

    def set_initial_weights(self, weights: Sequence[Any] | None) -> GlassesEstimator:
        """Set the weights to start from, as returned by ``model.get_weights()``."""
        self.initial_weights = weights
        return self

    def set_callbacks(self, callbacks: Iterable[Any]) -> GlassesEstimator:
        """Set the Keras callbacks that the driver runs after each epoch."""
        self.callbacks = tuple(callbacks)
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the Params as Elephas saves them, with the optimizer and all settings."""
        return {
            **super().get_config(),
            "optimizer_config": self.get_optimizer_config(),
            "rawPredictionCol": self.getRawPredictionCol(),
            **{name: self.getOrDefault(getattr(self, name)) for name in SETTINGS},
        }

    def save(self, path: str) -> None:
        """Save the estimator: ``.h5`` in Elephas' format, else as a Spark ML folder."""
        if str(path).endswith(ELEPHAS_SUFFIXES):
            super().save(path)
        else:
            self.write().save(path)

    def write(self) -> MLWriter:
        """Return a writer for a Spark ML folder, also inside a ``Pipeline``."""
        return _EstimatorWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return a reader for the folders of `write`."""
        return _EstimatorReader()

    @classmethod
    def load(cls, path: str) -> GlassesEstimator:
        """Load an estimator from a Spark ML folder, or from an ``.h5`` file in Elephas' format."""
        if str(path).endswith(ELEPHAS_SUFFIXES):
            # Imported here because it imports this module.
            from glasses_spark.training.saving import load_ml_estimator

            return load_ml_estimator(path)
        estimator: GlassesEstimator = cls.read().load(path)
        return estimator

    def _fit(self, frame: DataFrame) -> GlassesModel:
        model, spec = self._build()
        trainer = Trainer(model, spec, self._settings(), self.callbacks)
        history = trainer.fit(frame, self._columns())
        return GlassesModel(
            labelCol=self.getLabelCol(),
            outputCol=self.getOutputCol(),
            featuresCol=self.getFeaturesCol(),
            rawPredictionCol=self.getRawPredictionCol(),
            keras_model_config=self.get_keras_model_config(),
            weights=model.get_weights(),
            custom_objects=self.get_custom_objects(),
            model_type=model_type_of(model, spec.loss),
            **output_kind(model, spec.loss).params(),
            history=[record.as_dict() for record in history],
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
        """Build the driver's model, and the specification from which workers build theirs."""
        for param in ("keras_model_config", "loss"):
            if not self.isDefined(param):
                raise ConfigError(f"{param}: expected a value, got none; set it before fit")
        keras, settings = import_keras(), self._settings()
        spec = ModelSpec(
            config=self.get_keras_model_config(),
            loss=self.get_loss(),
            metrics=tuple(self.get_metrics() or ()),
            optimizer=self.get_optimizer_config() or DEFAULT_OPTIMIZER,
            learning_rate=settings.learning_rate,
            custom_objects=self.get_custom_objects() or {},
            floatx=keras.config.floatx(),
            cpu_kernels=settings.cpu_kernels,
        )
        require_mean_loss(spec.loss)
        model = build_seeded(spec, derive_seed(settings.seed, "weights"))
        require_supported_model(model)
        if self.initial_weights is not None:
            model.set_weights([np.asarray(weight) for weight in self.initial_weights])
        return model, replace(spec, frozen=frozen_weights(model))


class _EstimatorWriter(MLWriter):
    def __init__(self, estimator: GlassesEstimator) -> None:
        super().__init__()
        self._estimator = estimator

    def saveImpl(self, path: str) -> None:
        stage = self._estimator.copy()
        # JSON cannot hold functions and classes; they are set again after loading.
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
