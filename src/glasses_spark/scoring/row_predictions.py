"""Row predictions: what Spark ML's models compute beside `transform`, such as one prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pyspark.ml.linalg import DenseVector
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.connect import runs_locally
from glasses_spark.runtime.connect_worker import ProcessSettings
from glasses_spark.runtime.frames import require_frame
from glasses_spark.runtime.spark_errors import spark_errors
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.scoring.evaluation_summary import (
    ClassificationSummary,
    RegressionSummary,
    evaluation_of,
)
from glasses_spark.scoring.feature_rows import RowFormat, feature_matrix
from glasses_spark.scoring.features import transfer_dtype
from glasses_spark.scoring.invalid_rows import KEEP, SKIP
from glasses_spark.scoring.ml_columns import (
    HasMLColumns,
    classes_of,
    require_ml_columns,
)
from glasses_spark.scoring.ml_values import ML_COLUMNS, ml_values, needs_logits
from glasses_spark.scoring.model_outputs import ModelOutput
from glasses_spark.scoring.model_ports import InputPort, input_ports
from glasses_spark.scoring.predictor import TrainedModel, cached_predictor
from glasses_spark.scoring.sql_function import sql_function
from glasses_spark.scoring.udf import INFERENCE_BATCH, Scoring

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel


class PredictsRows(HasMLColumns):
    """Mixin of a model: its sizes, its metrics, predictions of one row, and a function for SQL."""

    def _trained(self) -> TrainedModel:
        raise NotImplementedError

    def _outputs(self, trained: TrainedModel) -> list[ModelOutput]:
        raise NotImplementedError

    @property
    def numFeatures(self) -> int:
        """Number of values in a row of all inputs; -1 if that is open."""
        sizes = [port.size for port in input_ports(self._trained().config)]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else -1

    @property
    def numClasses(self) -> int:
        """Number of classes of the one output; 0 for a regression."""
        return classes_of(self._outputs(self._trained())[0].kind)

    def evaluate(self, dataset: DataFrame) -> ClassificationSummary | RegressionSummary:
        """Compute the metrics of labelled rows, see `evaluation_of`."""
        require_frame(dataset, "evaluate")
        outputs = self._outputs(self._trained())
        with spark_errors(ScoringError, "the evaluation"):
            return evaluation_of(cast("GlassesModel", self), dataset, outputs)

    def predict_udf(self, column: str = "outputCol", *, spark: SparkSession | None = None) -> Any:
        """Return the model as a function for Spark SQL and ``select``.

        ``spark.udf.register("glasses", model.predict_udf())`` lets SQL call ``glasses(features)``.

        Args:
            column: Param whose values it returns: ``outputCol``, ``predictionCol``,
                ``probabilityCol`` or ``rawPredictionCol``; vectors as arrays.
            spark: Session in which it runs; the active one by default.

        Returns:
            A pandas UDF of one column for each input, of the types that ``transform`` takes. With
            ``handleInvalid="keep"`` it returns null for a row that cannot be scored, else it
            raises a `ScoringError`.

        Raises:
            ScoringError: The model has several outputs or no such values, ``handleInvalid`` is
                ``skip``, or there is no session.
        """
        model, trained = cast("GlassesModel", self), self._trained()
        outputs, ports = self._outputs(trained), input_ports(trained.config)
        spark, handling = spark or SparkSession.getActiveSession(), model.getHandleInvalid()
        thresholds = self.getThresholds() if self.isDefined(self.thresholds) else None
        if spark is None:
            raise ScoringError(
                "predict_udf needs a Spark session, found none. Start one, or give it as spark"
            )
        _require_function(outputs, column, handling)
        wanted = [] if column == "outputCol" else [column]
        require_ml_columns(outputs[0].kind, wanted, thresholds)
        scoring = Scoring(
            features=_names(ports),
            dtypes=[transfer_dtype(port.dtype) for port in ports],
            kinds=[outputs[0].kind],
            ml_columns=wanted,
            thresholds=thresholds,
            batch_size=model.get_inference_batch_size() or INFERENCE_BATCH,
        )
        return sql_function(
            trained,
            model._share_parameters(trained, spark),
            scoring,
            ProcessSettings.of(spark, at_once=task_slots(spark) if runs_locally(spark) else None),
            keep_invalid=handling == KEEP,
        )

    def predict(self, value: Any) -> Any:
        """Predict one row in this process, as ``predictionCol`` has it.

        Args:
            value: Features of the one input: a Spark ML vector, an array or list of numbers, or
                grey pixels as bytes.

        Returns:
            The class or the number, a float; an array of a regression of several numbers.

        Raises:
            ScoringError: The features have another length than the input or contain NaN or
                infinity, or the model has several inputs or outputs or predicts something else.
        """
        found = self._predict_one("predictionCol", value)
        return float(found[0]) if len(found) == 1 else found

    def predictProbability(self, value: Any) -> DenseVector:
        """Return the probability of each class of one row; see `predict`."""
        return DenseVector(self._predict_one("probabilityCol", value))

    def predictRaw(self, value: Any) -> DenseVector:
        """Return the raw prediction of each class of one row; see `predict`."""
        return DenseVector(self._predict_one("rawPredictionCol", value))

    def _predict_one(self, param: str, value: Any) -> Any:
        trained = self._trained()
        ports, outputs = input_ports(trained.config), self._outputs(trained)
        if len(ports) != 1 or len(outputs) != 1:
            raise ScoringError(
                "one row can be predicted by a model with one input and one output, found "
                f"{len(ports)} and {len(outputs)}. Use transform, or keras_model()"
            )
        thresholds = self.getThresholds() if self.isDefined(self.thresholds) else None
        require_ml_columns(outputs[0].kind, [param], thresholds)
        numbers = value.toArray() if hasattr(value, "toArray") else value
        dtype = "uint8" if isinstance(value, bytes) else transfer_dtype(ports[0].dtype)
        row = value if isinstance(value, bytes) else np.asarray(numbers, dtype).ravel()
        kind = outputs[0].kind
        predictor = cached_predictor(trained, with_logits=needs_logits(param, kind))
        row_format = RowFormat("features", dtype, predictor.shapes[0])
        features, invalid = feature_matrix([row], row_format)
        if invalid:
            raise ScoringError(invalid[0])
        predictions, logits = predictor.predict(features)
        return ml_values(param, kind, predictions[0], logits, thresholds)[0]


def _require_function(outputs: Sequence[ModelOutput], column: str, handling: str) -> None:
    """Refuse what a function for SQL cannot return.

    Raises:
        ScoringError: See ``GlassesModel.predict_udf``.
    """
    if len(outputs) != 1:
        raise ScoringError(
            f"predict_udf needs a model with one output, found {len(outputs)}. Use transform"
        )
    if column not in (columns := ("outputCol", *ML_COLUMNS)):
        raise ScoringError(f"column: expected one of {', '.join(columns)}, got {column!r}")
    if handling == SKIP:
        raise ScoringError(
            "handleInvalid=skip: a function of a row cannot leave the row out. Use keep, which "
            "gives null, or transform"
        )


def _names(ports: Sequence[InputPort]) -> list[str]:
    """Return what messages call the features of inputs."""
    if len(ports) == 1:
        return ["features"]
    return [f"features of the input {port.name!r}" for port in ports]
