"""Row predictions: what Spark ML's models compute for one row, without a Spark job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pyspark.ml.linalg import DenseVector
from pyspark.sql import DataFrame

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.frames import require_frame
from glasses_spark.runtime.spark_errors import spark_errors
from glasses_spark.scoring.evaluation_summary import (
    ClassificationSummary,
    RegressionSummary,
    evaluation_of,
)
from glasses_spark.scoring.feature_rows import RowFormat, feature_matrix
from glasses_spark.scoring.features import transfer_dtype
from glasses_spark.scoring.ml_columns import (
    HasMLColumns,
    classes_of,
    require_ml_columns,
)
from glasses_spark.scoring.ml_values import ml_values, needs_logits
from glasses_spark.scoring.model_outputs import ModelOutput
from glasses_spark.scoring.model_ports import input_ports
from glasses_spark.scoring.predictor import TrainedModel, cached_predictor

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel


class PredictsRows(HasMLColumns):
    """Mixin of a model: the sizes of its inputs and outputs, and predictions of one row."""

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
