"""Transformer: a fitted model as a Spark ML stage that adds predictions to a DataFrame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

import numpy as np
from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import PREDICTION
from glasses_spark.errors import GlassesSparkError, ScoringError
from glasses_spark.notebook_html import cell, folded, learning_charts, number, paragraph, table
from glasses_spark.runtime.elephas import ElephasTransformer, ModelType
from glasses_spark.runtime.keras_settings import KerasDefaults
from glasses_spark.runtime.stages import CheckedTransformer
from glasses_spark.scoring.accessors import add_accessors
from glasses_spark.scoring.damaged_file import keras_cannot_load
from glasses_spark.scoring.features import features_columns
from glasses_spark.scoring.history_list import HistoryList
from glasses_spark.scoring.invalid_rows import SKIP
from glasses_spark.scoring.layer_table import layer_rows
from glasses_spark.scoring.ml_columns import (
    ml_column,
    require_ml_columns,
    require_new_columns,
)
from glasses_spark.scoring.model_outputs import ModelOutput
from glasses_spark.scoring.model_ports import input_ports, output_names
from glasses_spark.scoring.named_columns import (
    HasNamedColumns,
    input_columns,
    listed,
    prediction_columns,
)
from glasses_spark.scoring.parameters import (
    Parameters,
    owner_of_shared,
    scoring_environment,
    share_parameters,
)
from glasses_spark.scoring.prediction_kind import PredictionKind, kind_without_loss
from glasses_spark.scoring.prediction_params import HasPredictionKinds
from glasses_spark.scoring.predictor import TrainedModel
from glasses_spark.scoring.row_predictions import PredictsRows
from glasses_spark.scoring.saved_model import HasSavedForms
from glasses_spark.scoring.scoring_runtime import HasScoringRuntime
from glasses_spark.scoring.storage import digest
from glasses_spark.scoring.training_summary import HasTrainingSummary
from glasses_spark.scoring.udf import INFERENCE_BATCH, REASON, Scoring, scoring_udf

_SCORES: Final = "__glasses_spark_scores"


class GlassesModel(
    HasNamedColumns,
    HasPredictionKinds,
    HasScoringRuntime,
    HasSavedForms,
    CheckedTransformer,
    ElephasTransformer,
    PredictsRows,
    HasTrainingSummary,
):
    """A fitted Keras model; a drop-in replacement for Elephas' ``ElephasTransformer``.

    ``transform`` adds the column ``outputCol``: the outputs of the model, exactly as
    ``keras.Model.predict`` returns them. It is a double if the model is a regression with
    one output, else an array<double>; outputs with a shape, such as images, are flattened in
    row-major order. ``rawPredictionCol``, ``probabilityCol`` and ``predictionCol`` add the
    columns that Spark ML's own evaluators take, see `HasMLColumns`.

    A model with several outputs adds a column for each: ``<outputCol>_<name of the output>``,
    or those of a list or mapping in ``outputCol``. A model with several inputs takes a list or
    mapping of columns in ``featuresCol``.

    The metadata of the column say what its numbers mean: ``probabilities``, ``logits`` or
    ``numbers``. The evaluation reads them.

    A features column may contain grey pixels (binary), a Spark ML vector, an array of
    numbers, a number, or strings for an input of strings. ``transform`` scores each row
    together with its other columns in one pass, so predictions and rows cannot get mixed up.
    ``handleInvalid`` says what happens to rows with null, NaN or another length, see
    `HandlesInvalidRows`.

    With ``scoring_runtime`` ONNX Runtime or OpenVINO compute ``transform`` and ``evaluate`` if they
    agree with Keras; see `HasScoringRuntime`. Single rows and SQL functions use Keras.

    A ``temperature`` other than 1 divides the logits before the sigmoid, here and
    in `keras_model`. ``weights`` remain the weights of the fit.

    Attributes:
        weights: The weights, as returned by ``model.get_weights()``.
        archive: The model as a ``.keras`` file; None for a model that an earlier version or
            Elephas saved.
        safe_mode: Whether to refuse a ``Lambda`` layer in the archive. A loaded model does.
    """

    temperature: Param[float] = Param(
        Params._dummy(),
        "temperature",
        "number above 0 by which logits are divided before the sigmoid",
        TypeConverters.toFloat,
    )

    @keyword_only
    def __init__(self, **kwargs: Any) -> None:
        self.archive: bytes | None = kwargs.pop("archive", None)
        self.safe_mode: bool = kwargs.pop("safe_mode", True)
        # Elephas' constructor passes on the arguments that pyspark noted at the call.
        self._input_kwargs = kwargs
        super().__init__(**kwargs)
        self._setDefault(
            outputCol=PREDICTION,
            temperature=1.0,
            prediction_kind="",
            prediction_size=0,
            output_kinds=[],
        )
        self._set_ml_defaults()
        self._set_runtime_defaults()
        self._kinds_of: tuple[str, list[PredictionKind]] | None = None
        self._shared: tuple[str, object, Parameters] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # What a session shares with its tasks belongs to the process that made it, and the
        # estimator may have callbacks that cannot be pickled.
        return {**self.__dict__, "_shared": None, "_parent": None, "_compiled": {}}

    def copy(self, extra: Mapping[Param[Any], Any] | None = None) -> Self:
        """Copy the model, with other values of some Params."""
        copied: Self = super().copy(None if extra is None else dict(extra))
        copied._parent = self._parent
        return copied

    @property
    def history(self) -> HistoryList:
        """One dictionary per epoch, as in ``history.json``."""
        return HistoryList(self._history)

    def keras_model(self) -> Any:
        """Return the fitted Keras model with its weights, for use outside Spark.

        Raises:
            ScoringError: It has no weights, or was loaded and Keras cannot build it.
        """
        trained = self._trained()
        try:
            return trained.build()
        except GlassesSparkError:
            raise
        except Exception as error:
            raise keras_cannot_load("the model", error, safe_mode=self.safe_mode) from error

    def to_keras(self) -> Any:
        """Return the fitted Keras model; the same as `keras_model`."""
        return self.keras_model()

    def get_temperature(self) -> float:
        """Return the number that divides the logits before the sigmoid; 1 by default."""
        return float(self.getOrDefault(self.temperature))

    def set_temperature(self, value: float) -> GlassesModel:
        """Set the number, above 0, that divides the logits before the sigmoid."""
        self._set(temperature=value)
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the parameters in Elephas' format, without the weights."""
        config = super().get_config()
        del config["weights"]
        return {
            **config,
            **self.ml_params(),
            **self.runtime_params(),
            "inference_batch_size": self.get_inference_batch_size(),
            "temperature": self.get_temperature(),
            "prediction_kind": self.getOrDefault(self.prediction_kind),
            "prediction_size": self.getOrDefault(self.prediction_size),
            "output_kinds": self.getOrDefault(self.output_kinds),
        }

    def _repr_html_(self) -> str:
        weights = getattr(self, "weights", None)
        size = "no weights" if weights is None else f"{_count(weights):,} parameters"
        outputs = (listed(self.getOutputCol()), *self.ml_columns().values())
        columns = f"From {listed(self.getFeaturesCol())} to {', '.join(outputs)}"
        if self.get_temperature() != 1.0:
            columns += f"; logits divided by {number(self.get_temperature())}"
        layers = (
            layer_rows(self.get_keras_model_config())
            if self.isDefined(self.keras_model_config)
            else []
        )
        return cell(
            f"{type(self).__name__}: {size}",
            paragraph(columns),
            learning_charts(self.history),
            folded(
                f"{len(layers)} layers", table(["layer", "type", "settings"], layers, kind="text")
            ),
        )

    def _trained(self) -> TrainedModel:
        weights = getattr(self, "weights", None)
        if not self.isDefined(self.keras_model_config):
            raise ScoringError("the model has no architecture. Fit an estimator, or load a model")
        config = self.get_keras_model_config()
        if not isinstance(config, str):  # of a saved stage that nobody wrote
            raise ScoringError(
                f"keras_model_config: expected the JSON of a Keras model, got "
                f"{type(config).__name__}. Save the model again"
            )
        if weights is None:
            raise ScoringError("the model has no weights. Fit an estimator, or load a model")
        temperature = self.get_temperature()
        if not 0 < temperature < math.inf:
            raise ScoringError(f"temperature: expected a finite number above 0, got {temperature}")
        weights = [np.asarray(array) for array in weights]
        return TrainedModel(
            digest=f"{digest(config, weights, self.archive)}/{temperature}",
            config=config,
            weights=weights,
            archive=self.archive,
            safe_mode=self.safe_mode,
            custom_objects=self.get_custom_objects(),
            temperature=temperature,
            defaults=KerasDefaults.of_this_process(),
        )

    def _transform(self, frame: DataFrame) -> DataFrame:
        trained, added = self._trained(), self.ml_columns()
        outputs = self._outputs(trained)
        thresholds = self.getThresholds() if self.isDefined(self.thresholds) else None
        require_ml_columns(outputs[0].kind, list(added), thresholds)
        new = [*(output.column for output in outputs), *added.values(), *self.reason_columns()]
        require_new_columns(frame.columns, new)
        ports = input_ports(trained.config)
        names = input_columns(self.getFeaturesCol(), [port.name for port in ports])
        features, dtypes = features_columns(frame, names, ports)
        scoring = Scoring(
            features=[f"column {name!r}" for name in names],
            dtypes=dtypes,
            kinds=[output.kind for output in outputs],
            ml_columns=list(added),
            thresholds=thresholds,
        )
        trained = self._for_runtime(trained, dtypes, with_logits=scoring.with_logits)
        fitting = trained.compiled.batch_size if trained.compiled else INFERENCE_BATCH
        scoring = replace(scoring, batch_size=self.get_inference_batch_size() or fitting)
        parameters = self._share_parameters(trained, frame.sparkSession)
        scored, handling = scoring_udf(trained, parameters, scoring), self.getHandleInvalid()
        if handling == SKIP:
            # Spark would move the filter below the columns, and score each row twice.
            scored = scored.asNondeterministic()
        with scoring_environment(frame.sparkSession):
            scored_features = scored(*features)
        # One struct, so that one pass of the model gives all columns.
        rows, scores = frame.withColumn(_SCORES, scored_features), F.col(_SCORES)
        if handling == SKIP:
            rows = rows.where(scores[REASON].isNull())
        kind = outputs[0].kind
        # Not the columns by their names: others may have the same one.
        return rows.select(
            "*",
            *(output.prediction(scores, handling) for output in outputs),
            *(ml_column(param, kind, name, scores, handling) for param, name in added.items()),
            *(scores[REASON].alias(name) for name in self.reason_columns()),
        ).drop(_SCORES)

    def _outputs(self, trained: TrainedModel) -> list[ModelOutput]:
        names = output_names(trained.config)
        columns = prediction_columns(self.getOutputCol(), names)
        for setting, is_set, advice in (
            *((param, name, f"Clear {param}") for param, name in self.ml_columns().items()),
            ("thresholds", self.isDefined(self.thresholds), "Clear thresholds"),
            ("temperature", trained.temperature != 1.0, "Set temperature to 1"),
        ):
            if is_set and len(names) > 1:
                raise ScoringError(
                    f"{setting} needs a model with one output, found {listed(names)}. {advice}"
                )
        kinds = self._prediction_kinds(trained)
        return [
            ModelOutput(position, column, kind)
            for position, (column, kind) in enumerate(zip(columns, kinds, strict=True))
        ]

    def _prediction_kinds(self, trained: TrainedModel) -> list[PredictionKind]:
        """Return the meaning and number of each output's predictions."""
        stored = self._stored_kinds()
        if all(kind.name and kind.size for kind in stored):
            return stored
        # A model of an earlier version or of Elephas; built once to see its last layers.
        if self._kinds_of is None or self._kinds_of[0] != trained.digest:
            regression = getattr(self, "model_type", None) == ModelType.REGRESSION
            model, outputs = trained.build(), range(len(stored))
            kinds = [kind_without_loss(model, i, regression=regression) for i in outputs]
            self._kinds_of = (trained.digest, kinds)
        pairs = zip(stored, self._kinds_of[1], strict=True)
        return [PredictionKind(a.name or b.name, a.size or b.size) for a, b in pairs]

    def _share_parameters(self, trained: TrainedModel, spark: SparkSession) -> Parameters:
        """Give weights or archive to the tasks, once per model and Spark."""
        owner = owner_of_shared(spark)
        shared = self._shared
        if shared is None or shared[0] != trained.digest or shared[1] is not owner:
            shared = self._shared = (trained.digest, owner, share_parameters(trained, spark))
        return shared[2]


add_accessors(GlassesModel, arguments=("weights", "history", "model_type", "archive", "safe_mode"))


def _count(weights: Sequence[Any]) -> int:
    return sum(int(np.size(array)) for array in weights)
