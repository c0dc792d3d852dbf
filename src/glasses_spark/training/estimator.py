"""Estimator: fits a Keras model in Spark ML; drop-in for Elephas' own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pyspark import keyword_only
from pyspark.ml.base import _FitMultipleIterator
from pyspark.ml.param import Param
from pyspark.ml.param.shared import (
    HasSeed,
    HasValidationIndicatorCol,
    HasWeightCol,
)
from pyspark.sql import DataFrame

from glasses_spark.config.training import DEFAULT_OPTIMIZER
from glasses_spark.errors import ConfigError, TrainingError
from glasses_spark.runtime.elephas import ElephasEstimator
from glasses_spark.runtime.keras_archive import pack_model
from glasses_spark.runtime.keras_settings import KerasDefaults
from glasses_spark.runtime.spark_errors import spark_errors
from glasses_spark.runtime.stages import CheckedEstimator
from glasses_spark.scoring.accessors import add_accessors
from glasses_spark.scoring.ml_columns import HasMLColumns, require_ml_columns
from glasses_spark.scoring.model_ports import input_ports, output_names
from glasses_spark.scoring.named_columns import (
    HasNamedColumns,
    input_columns,
    prediction_columns,
)
from glasses_spark.scoring.prediction_kind import PROBABILITIES, PredictionKind
from glasses_spark.scoring.prediction_params import kind_params
from glasses_spark.scoring.predictor import require_one_sigmoid
from glasses_spark.scoring.transformer import GlassesModel
from glasses_spark.seeds import derive_seed
from glasses_spark.training.callback_checks import callback_tuple
from glasses_spark.training.keras_objects import KerasObject, leaves
from glasses_spark.training.model_checks import (
    build_seeded,
    model_type_of,
    require_mean_loss,
    require_supported_model,
)
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizers import OptimizerState
from glasses_spark.training.output_kind import output_kinds
from glasses_spark.training.output_settings import (
    label_columns,
    losses_by_output,
    metrics_by_output,
    require_loss_weights,
    require_one_output,
)
from glasses_spark.training.params import TrainingParams, default_params
from glasses_spark.training.saving import HasSavedForms
from glasses_spark.training.settings import SETTINGS, Columns
from glasses_spark.training.shared_rows import SharedRows
from glasses_spark.training.trainer import Trainer
from glasses_spark.training.weights import frozen_weights


class GlassesEstimator(
    HasNamedColumns,
    TrainingParams,
    HasSavedForms,
    CheckedEstimator,
    ElephasEstimator,
    HasSeed,
    HasWeightCol,
    HasValidationIndicatorCol,
    HasMLColumns,
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
    - ``rawPredictionCol``, ``probabilityCol``, ``predictionCol``, ``thresholds``: columns of
      Spark ML's own classifiers that the fitted model adds; none by default.
    - ``handleInvalid``, ``invalidReasonCol``: see `HandlesInvalidRows`, for the fitted model. The
      fit itself skips invalid rows with ``skip`` and ``keep``, and logs how many.
    - ``class_weight``: weights of the labels' rows in the loss, such as ``{1.0: 2.0}``.
    - ``weighted_metrics``: Keras metrics that use the weights of the rows; none by default.
    - ``loss_weights``: weight of each output's loss; none by default.

    A model with several inputs or outputs takes a list or mapping of columns in ``featuresCol``,
    ``labelCol`` and ``outputCol``, and of losses and metrics, as for Keras' ``compile``.

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
        self.callbacks: Sequence[Any] = callback_tuple(kwargs.pop("callbacks", ()))
        self.archive: bytes | None = None
        self.safe_mode = True
        self._optimizer_state: tuple[Any, OptimizerState] = (None, OptimizerState())
        # Elephas' constructor passes on the arguments that pyspark noted at the call.
        self._input_kwargs = kwargs
        super().__init__(**kwargs)
        self._setDefault(
            optimizer_config=DEFAULT_OPTIMIZER,
            weighted_metrics=[],
            loss_weights=None,
            **default_params(),
        )
        self._set_ml_defaults()

    def set_initial_weights(self, weights: Sequence[Any] | None) -> GlassesEstimator:
        """Set the weights to start from, as returned by ``model.get_weights()``."""
        self.initial_weights = weights
        return self

    def set_archive(self, archive: bytes | None, *, safe_mode: bool = True) -> GlassesEstimator:
        """Set the model as a ``.keras`` file, which holds more than ``keras_model_config``.

        Args:
            archive: Content of the file; None builds the model from ``keras_model_config``.
            safe_mode: Whether to refuse a ``Lambda`` layer.
        """
        self.archive, self.safe_mode = archive, safe_mode
        return self

    def set_optimizer_state(self, state: OptimizerState) -> GlassesEstimator:
        """Set what the present optimizer holds beside its config.

        Another optimizer, set afterwards, starts without it.
        """
        self._optimizer_state = (self.get_optimizer_config(), state)
        return self

    def set_callbacks(self, callbacks: Iterable[Any]) -> GlassesEstimator:
        """Set the Keras callbacks that the driver runs after each epoch."""
        self.callbacks = callback_tuple(callbacks)
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the Params as Elephas saves them, with the optimizer and all settings."""
        self.require_serialized()
        return {
            **super().get_config(),
            "optimizer_config": self.get_optimizer_config(),
            **self.ml_params(),
            "weighted_metrics": self.getOrDefault(self.weighted_metrics),
            "loss_weights": self.getOrDefault(self.loss_weights),
            **{name: self.getOrDefault(getattr(self, name)) for name in SETTINGS},
        }

    def fitMultiple(
        self, dataset: DataFrame, paramMaps: Sequence[Mapping[Param[Any], Any]]
    ) -> Iterator[tuple[int, GlassesModel]]:
        """Fit a model for each grid point; called by ``fit`` with a list and by `CrossValidator`.

        The rows are read and persisted once for all points that use the same ones.

        Args:
            dataset: Rows.
            paramMaps: Values of Params for each model.

        Returns:
            Index and model of each point. Several threads may take them at the same time.
        """
        estimator, shared_rows = self.copy(), SharedRows(len(paramMaps))

        def fit_point(index: int) -> GlassesModel:
            with spark_errors(TrainingError, "the fit"):
                return estimator.copy(paramMaps[index])._fit(dataset, shared_rows)

        return _FitMultipleIterator(fit_point, len(paramMaps))

    def _fit(self, dataset: DataFrame, shared_rows: SharedRows | None = None) -> GlassesModel:
        model, spec = self._build()
        losses = losses_by_output(spec.loss, output_names(spec.config))
        losses = [loss.build() if isinstance(loss, KerasObject) else loss for loss in losses]
        kinds = output_kinds(model, losses)
        thresholds = self.getThresholds() if self.isDefined(self.thresholds) else None
        require_ml_columns(kinds[0], list(self.ml_columns()), thresholds)
        if self.getRawPredictionCol() and kinds[0] == PredictionKind(PROBABILITIES, 1):
            require_one_sigmoid(model)
        trainer = Trainer(model, spec, self._settings(), self.callbacks)
        history = trainer.fit(dataset, self.require_columns(), shared_rows)
        fitted = GlassesModel(
            labelCol=self.getLabelCol(),
            outputCol=self.getOutputCol(),
            featuresCol=self.getFeaturesCol(),
            **self.ml_params(),
            keras_model_config=self.get_keras_model_config(),
            weights=model.get_weights(),
            custom_objects=self.get_custom_objects(),
            archive=None if self.archive is None else pack_model(model),
            safe_mode=self.safe_mode,
            model_type=model_type_of(kinds),
            **kind_params(kinds),
            history=[record.as_dict() for record in history],
        )
        fitted._parent = self
        return fitted

    def require_serialized(self) -> None:
        """Refuse to save a loss, metric or optimizer that JSON would not describe completely."""
        for param in (self.loss, self.metrics, self.weighted_metrics):
            value = self.getOrDefault(param) if self.isDefined(param) else None
            for item in leaves(value):
                if isinstance(item, KerasObject):
                    raise TrainingError(
                        f"{param.name}: an estimator with {item.name} cannot be saved, because "
                        f"its get_config() does not describe it completely. Save the fitted "
                        "model instead"
                    )

    def state_of_optimizer(self) -> OptimizerState:
        """Return what the optimizer holds beside its config."""
        optimizer, state = self._optimizer_state
        return state if optimizer is self.get_optimizer_config() else OptimizerState()

    def require_columns(self) -> Columns:
        """Return the columns of a fit.

        Raises:
            ConfigError: The columns, losses or metrics do not fit the model's inputs and
                outputs, or a setting needs a model with one output.
        """

        def optional(param: Any) -> str | None:
            return self.getOrDefault(param) if self.isDefined(param) else None

        config = self.get_keras_model_config()
        outputs, losses = output_names(config), self._losses()
        require_one_output(
            outputs,
            ml_settings=[*self.ml_columns(), *(["thresholds"] * self.isDefined(self.thresholds))],
            class_weight=self._settings().class_weight,
            categorical=self._settings().categorical,
        )
        prediction_columns(self.getOutputCol(), outputs)
        needed = [loss is not None for loss in losses]
        for param in (self.metrics, self.weighted_metrics):
            metrics = metrics_by_output(optional(param), outputs, param.name)
            needed = [a or bool(b) for a, b in zip(needed, metrics, strict=True)]
        return Columns(
            features=input_columns(
                self.getFeaturesCol(), [port.name for port in input_ports(config)]
            ),
            labels=label_columns(self.getLabelCol(), outputs, needed),
            weight=optional(self.weightCol) or None,
            validation=optional(self.validationIndicatorCol) or None,
            skip_invalid=self.getHandleInvalid() != "error",
        )

    def _losses(self) -> list[Any]:
        outputs = output_names(self.get_keras_model_config())
        require_loss_weights(self.getOrDefault(self.loss_weights), self.get_loss(), outputs)
        return losses_by_output(self.get_loss(), outputs)

    def _build(self) -> tuple[Any, ModelSpec]:
        """Build the driver's model, and the specification from which workers build theirs."""
        for param in ("keras_model_config", "loss"):
            if not self.isDefined(param):
                raise ConfigError(f"{param}: expected a value, got none; set it before fit")
        self.require_columns()
        settings = self._settings()
        spec = ModelSpec(
            config=self.get_keras_model_config(),
            loss=self.get_loss(),
            metrics=self.get_metrics() or [],
            loss_weights=self.getOrDefault(self.loss_weights),
            optimizer=self.get_optimizer_config() or DEFAULT_OPTIMIZER,
            archive=self.archive,
            safe_mode=self.safe_mode,
            optimizer_state=self.state_of_optimizer(),
            learning_rate=settings.learning_rate,
            custom_objects=self.get_custom_objects() or {},
            **asdict(KerasDefaults.of_this_process()),
            weighted_metrics=self.getOrDefault(self.weighted_metrics) or [],
            cpu_kernels=settings.cpu_kernels,
        )
        if settings.num_workers != 1:
            require_mean_loss(spec.loss)
        model = build_seeded(
            spec, derive_seed(settings.seed, "weights"), initial_weights=self.initial_weights
        )
        require_supported_model(model)
        return model, replace(spec, frozen=frozen_weights(model))


add_accessors(GlassesEstimator, arguments=("initial_weights", "callbacks"))
