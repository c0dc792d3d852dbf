"""Task: what Spark's Python workers do with a column of features, which is to score it.

Each worker imports this module, and so it imports little: not Elephas and not Spark ML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.predictor import TrainedModel, cached_predictor

if TYPE_CHECKING:
    from pyspark import Broadcast


def scoring_function(
    trained: TrainedModel,
    weights: Broadcast[Any],
    *,
    with_logits: bool,
    regression: bool,
    batch_size: int,
) -> Callable[[Iterator[pd.Series]], Iterator[pd.DataFrame]]:
    """Make the function of a pandas UDF that scores a column.

    Args:
        trained: The model, without its weights.
        weights: These, as Spark has sent them to every executor.
        with_logits: Whether the logit before the last sigmoid is wanted.
        regression: Whether a prediction is a number, and not an array of them.
        batch_size: Rows that the model sees at once, at least 1.

    Returns:
        A function from series of features (bytes or arrays) to frames of ``prediction``
        and ``raw``, the logit, NaN where it is not wanted.
    """

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        model = replace(trained, weights=weights.value)
        predictor = cached_predictor(model, with_logits=with_logits)
        for series in batches:
            predictions, logits = [], []
            for start in range(0, len(series), batch_size):
                part = _matrix_of_series(series[start : start + batch_size])
                prediction, logit = predictor.predict(part)
                predictions.append(prediction)
                logits.append(logit)
            yield _scores(predictions, logits, with_logits=with_logits, regression=regression)

    # Spark reads the kind of the function from its types, which are only names here.
    score.__annotations__ = {
        "batches": Iterator[pd.Series],
        "return": Iterator[pd.DataFrame],
    }
    return score


def _scores(
    predictions: list[Any], logits: list[Any], *, with_logits: bool, regression: bool
) -> pd.DataFrame:
    found = np.concatenate(predictions) if predictions else np.zeros((0, 1))
    raw = np.concatenate(logits)[:, 0] if with_logits and logits else np.full(len(found), np.nan)
    return pd.DataFrame({"prediction": found[:, 0] if regression else list(found), "raw": raw})


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
