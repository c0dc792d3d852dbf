"""UDF: the function with which Spark's Python workers score columns of features.

Each worker imports this module, so it imports neither Elephas nor Spark ML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from pyspark.sql.pandas.functions import pandas_udf

from glasses_spark.columns import PREDICTION
from glasses_spark.scoring.feature_rows import RowFormat, feature_matrix
from glasses_spark.scoring.ml_values import is_number, ml_values, needs_logits
from glasses_spark.scoring.prediction_kind import PredictionKind
from glasses_spark.scoring.predictor import AnyPredictor, TrainedModel, cached_predictor

if TYPE_CHECKING:
    from glasses_spark.scoring.parameters import Parameters

# Rows in one call of the model, unless `inference_batch_size` is set.
INFERENCE_BATCH: Final = 256

# Field of the result with the reason of a row that cannot be scored; null for the others.
REASON: Final = "reason"


@dataclass(frozen=True)
class Scoring:
    """What the UDF reads and computes.

    Attributes:
        features: What messages call the features of each input.
        dtypes: NumPy type of the values of each input, or ``string``.
        kinds: Meaning and number of the values of each output.
        ml_columns: Params of `ML_COLUMNS` whose values are wanted, of a model with one output.
        thresholds: A threshold for each class, or None.
        batch_size: Rows in one call of the model, at least 1.
    """

    features: Sequence[str]
    dtypes: Sequence[str]
    kinds: Sequence[PredictionKind]
    ml_columns: Sequence[str] = ()
    thresholds: Sequence[float] | None = None
    batch_size: int = INFERENCE_BATCH

    @property
    def with_logits(self) -> bool:
        """Whether the logit before the last sigmoid is needed."""
        return any(needs_logits(param, self.kinds[0]) for param in self.ml_columns)

    @property
    def schema(self) -> str:
        """The result: predictions of each output, the values of each Param, and `REASON`."""
        fields = {prediction_field(i): is_number(kind) for i, kind in enumerate(self.kinds)}
        for param in self.ml_columns:
            fields[param] = is_number(self.kinds[0], param)
        types = {True: "double", False: "array<double>"}
        return ", ".join(f"{name} {types[number]}" for name, number in fields.items()) + (
            f", {REASON} string"
        )


def scoring_udf(trained: TrainedModel, parameters: Parameters, scoring: Scoring) -> Any:
    """Make the pandas UDF that scores the columns of a model's inputs; see `scoring_function`."""
    # It contains custom objects, because a broadcast cannot hold functions.
    score = scoring_function(
        replace(trained, weights=(), archive=None, onnx=None), parameters, scoring
    )
    # PySpark's own type hints do not cover UDFs whose kind follows from annotations.
    make_udf: Any = pandas_udf
    return make_udf(score, scoring.schema)


def scoring_function(
    trained: TrainedModel, parameters: Parameters, scoring: Scoring
) -> Callable[[Iterator[Any]], Iterator[pd.DataFrame]]:
    """Make the function of a pandas UDF that scores the columns of a model's inputs.

    Args:
        trained: The model without its weights and archive.
        parameters: Shared fields of the model: ``weights`` and ``archive``.
        scoring: What it reads and computes.

    Returns:
        A function from series of features (bytes or arrays), or tuples of a series for each
        input, to frames of ``scoring.schema``. A row that cannot be scored has a reason and
        nothing else.
    """
    score = partial(_score, trained, parameters, scoring)
    # Spark takes the kind of UDF from the types of the one parameter that is left.
    annotate(score, "score", Iterator[pd.DataFrame])
    return score


# Not within `scoring_function`, see runtime/kernel_cache.py.
def _score(
    trained: TrainedModel, parameters: Parameters, scoring: Scoring, batches: Iterator[Any]
) -> Iterator[pd.DataFrame]:
    model = replace(trained, **parameters.value)
    predictor = cached_predictor(model, with_logits=scoring.with_logits)
    for batch in batches:
        # Spark sends one column as it is, and several as a tuple.
        columns = batch if isinstance(batch, tuple) else (batch,)
        yield score_columns(predictor, scoring, [list(column) for column in columns])


def annotate(function: partial[Any], name: str, returned: Any) -> None:
    """Give a partial function of ``batches`` what ``pandas_udf`` reads of a function.

    Args:
        function: Takes an iterator of series.
        name: Name of the UDF in Spark's plans.
        returned: Type of what it returns.
    """
    function.__name__ = name  # type: ignore[attr-defined]
    function.__annotations__ = {"batches": Iterator[pd.Series], "return": returned}


def prediction_field(output: int) -> str:
    """Return the column of an output's predictions, counted from 0, in the result of the UDF."""
    return f"{PREDICTION}_{output}" if output else PREDICTION


def score_columns(
    predictor: AnyPredictor, scoring: Scoring, columns: Sequence[Sequence[Any]]
) -> pd.DataFrame:
    """Score rows.

    Args:
        predictor: The model.
        scoring: What to compute.
        columns: For each input bytes, an array or None for each row.

    Returns:
        Frame of ``scoring.schema``.
    """
    formats = list(map(RowFormat, scoring.features, scoring.dtypes, predictor.shapes))
    invalid: dict[int, str] = {}
    scored = []
    rows = len(columns[0])
    for start in range(0, rows, scoring.batch_size):
        matrices = []
        for column, row_format in zip(columns, formats, strict=True):
            values, reasons = feature_matrix(column[start : start + scoring.batch_size], row_format)
            matrices.append(values)
            # The first input with a reason gives it.
            invalid = {start + position: reason for position, reason in reasons.items()} | invalid
        scored.append(predictor.predict(*matrices))
    result: dict[str, Any] = {}
    # An empty batch, of which Spark wants a frame.
    logits = np.concatenate([part for _, part in scored]) if scored else np.zeros((0, 1))
    for output, kind in enumerate(scoring.kinds):
        parts = [predictions[output] for predictions, _ in scored]
        outputs = np.concatenate(parts) if scored else np.zeros((0, max(1, kind.size)))
        result[prediction_field(output)] = _column(outputs, invalid, is_number(kind))
        for param in scoring.ml_columns:
            numbers = ml_values(param, kind, outputs, logits, scoring.thresholds)
            result[param] = _column(numbers, invalid, is_number(kind, param))
    result[REASON] = pd.Series([invalid.get(row) for row in range(rows)], dtype=object)
    return pd.DataFrame(result)


def _column(values: Any, invalid: Mapping[int, str], number: bool) -> Any:
    if number:
        values = values[:, 0].copy()
        values[list(invalid)] = np.nan  # null for Spark
        return values
    arrays = list(values)
    for row in invalid:
        arrays[row] = None
    return arrays
