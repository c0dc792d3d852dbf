"""UDF: the function with which Spark's Python workers score columns of features.

Each worker imports this module, so it imports neither Elephas nor Spark ML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glasses_spark.columns import PREDICTION, RAW_PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.scoring.predictor import TrainedModel, cached_predictor

if TYPE_CHECKING:
    from glasses_spark.scoring.parameters import Parameters


def scoring_function(
    trained: TrainedModel,
    parameters: Parameters,
    *,
    with_logits: bool,
    regression: Sequence[bool],
    batch_size: int,
) -> Callable[[Iterator[Any]], Iterator[pd.DataFrame]]:
    """Make the function of a pandas UDF that scores the columns of a model's inputs.

    Args:
        trained: The model without its weights and archive.
        parameters: Shared fields of the model: ``weights`` and ``archive``.
        with_logits: Whether to compute the logit before the last sigmoid.
        regression: For each output, whether a prediction is a number instead of an array.
        batch_size: Rows in one call of the model, at least 1.

    Returns:
        A function from series of features (bytes or arrays), or tuples of a series for each
        input, to frames with a column of each output, see `prediction_field`, and
        ``rawPrediction``, the logit; NaN without ``with_logits``.
    """

    def score(batches: Iterator[Any]) -> Iterator[pd.DataFrame]:
        model = replace(trained, **parameters.value)
        predictor = cached_predictor(model, with_logits=with_logits)
        for batch in batches:
            # Spark sends one column as it is, and several as a tuple.
            columns = batch if isinstance(batch, tuple) else (batch,)
            scored = []
            for start in range(0, len(columns[0]), batch_size):
                features = [
                    _matrix(series[start : start + batch_size], predictor.name_features(number))
                    for number, series in enumerate(columns)
                ]
                scored.append(predictor.predict(*features))
            yield _scores(scored, with_logits=with_logits, regression=regression)

    # Spark takes the kind of UDF from the types; the annotations above are only strings.
    score.__annotations__ = {
        "batches": Iterator[pd.Series],
        "return": Iterator[pd.DataFrame],
    }
    return score


def prediction_field(output: int) -> str:
    """Return the column of an output's predictions, counted from 0, in the result of the UDF."""
    return f"{PREDICTION}_{output}" if output else PREDICTION


def _scores(
    scored: list[tuple[Any, Any]], *, with_logits: bool, regression: Sequence[bool]
) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for output, is_number in enumerate(regression):
        batches = [predictions[output] for predictions, _ in scored]
        outputs = np.concatenate(batches) if batches else np.zeros((0, 1))
        columns[prediction_field(output)] = outputs[:, 0] if is_number else list(outputs)
    rows = sum(len(logits) for _, logits in scored)
    has_logits = with_logits and scored
    columns[RAW_PREDICTION] = (
        np.concatenate([logits for _, logits in scored])[:, 0]
        if has_logits
        else np.full(rows, np.nan)
    )
    return pd.DataFrame(columns)


def _matrix(series: pd.Series, name: str) -> Any:
    missing = int(series.isna().sum())
    if missing:
        raise ScoringError(f"{name}: expected a value in every row, got {missing} nulls")
    sizes = {len(row) for row in series}
    if len(sizes) != 1:
        raise ScoringError(f"{name}: expected rows of one length, got {sorted(sizes)[:5]}")
    if isinstance(series.iloc[0], bytes):
        return np.frombuffer(b"".join(series), np.uint8).reshape(len(series), -1)
    values = np.stack(list(series))
    if values.dtype == object and (missing := sum(value is None for value in values.flat)):
        raise ScoringError(f"{name}: expected a value in every row, got {missing} nulls")
    return values
