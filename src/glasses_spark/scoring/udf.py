"""UDF: the function with which Spark's Python workers score a column of features.

Each worker imports this module, so it imports neither Elephas nor Spark ML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glasses_spark.columns import PREDICTION, RAW_PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.scoring.predictor import TrainedModel, cached_predictor

if TYPE_CHECKING:
    from pyspark import Broadcast


def scoring_function(
    trained: TrainedModel,
    parameters: Broadcast[Any],
    *,
    with_logits: bool,
    regression: bool,
    batch_size: int,
) -> Callable[[Iterator[pd.Series]], Iterator[pd.DataFrame]]:
    """Make the function of a pandas UDF that scores a column.

    Args:
        trained: The model without its weights and archive.
        parameters: Broadcast fields of the model: ``weights`` and ``archive``.
        with_logits: Whether to compute the logit before the last sigmoid.
        regression: Whether a prediction is a number instead of an array.
        batch_size: Rows in one call of the model, at least 1.

    Returns:
        A function from series of features (bytes or arrays) to frames with the columns
        ``prediction`` and ``rawPrediction``, the logit; NaN without ``with_logits``.
    """

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        model = replace(trained, **parameters.value)
        predictor = cached_predictor(model, with_logits=with_logits)
        for series in batches:
            predictions, logits = [], []
            for start in range(0, len(series), batch_size):
                features = _matrix_of_series(series[start : start + batch_size])
                prediction, logit = predictor.predict(features)
                predictions.append(prediction)
                logits.append(logit)
            yield _scores(predictions, logits, with_logits=with_logits, regression=regression)

    # Spark takes the kind of UDF from the types; the annotations above are only strings.
    score.__annotations__ = {
        "batches": Iterator[pd.Series],
        "return": Iterator[pd.DataFrame],
    }
    return score


def _scores(
    predictions: list[Any], logits: list[Any], *, with_logits: bool, regression: bool
) -> pd.DataFrame:
    outputs = np.concatenate(predictions) if predictions else np.zeros((0, 1))
    raw = np.concatenate(logits)[:, 0] if with_logits and logits else np.full(len(outputs), np.nan)
    prediction = outputs[:, 0] if regression else list(outputs)
    return pd.DataFrame({PREDICTION: prediction, RAW_PREDICTION: raw})


def _matrix_of_series(series: pd.Series) -> Any:
    missing = int(series.isna().sum())
    if missing:
        raise ScoringError(f"features: expected a value in every row, got {missing} nulls")
    sizes = {len(row) for row in series}
    if len(sizes) != 1:
        raise ScoringError(f"features: expected rows of one length, got {sorted(sizes)[:5]}")
    if isinstance(series.iloc[0], bytes):
        return np.frombuffer(b"".join(series), np.uint8).reshape(len(series), -1)
    return np.stack(list(series))
