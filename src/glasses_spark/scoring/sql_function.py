"""SQL function: a model as a pandas UDF for Spark SQL, whose columns are known at the call only.

Each worker imports this module, so it imports neither Elephas nor Spark ML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from pyspark.sql.pandas.functions import pandas_udf

from glasses_spark.columns import PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.connect_worker import ProcessSettings
from glasses_spark.scoring.features import STRING
from glasses_spark.scoring.ml_values import is_number
from glasses_spark.scoring.predictor import TrainedModel, cached_predictor
from glasses_spark.scoring.udf import REASON, Scoring, annotate, score_columns

if TYPE_CHECKING:
    from glasses_spark.scoring.parameters import Parameters

# Type of a dense vector in the struct by which Spark transfers Spark ML's vectors.
_DENSE: Final = 1


def sql_function(
    trained: TrainedModel,
    parameters: Parameters,
    scoring: Scoring,
    settings: ProcessSettings,
    *,
    keep_invalid: bool,
) -> Any:
    """Make a pandas UDF that returns the predictions of a model with one output.

    Args:
        trained: The model.
        parameters: Shared fields of the model: ``weights`` and ``archive``.
        scoring: What it computes: the value of its one Param in ``ml_columns``, or the outputs.
        settings: Settings of the processes that score.
        keep_invalid: Whether a row that cannot be scored has null, in place of an error.

    Returns:
        A UDF of one column of features for each input: an array, a Spark ML vector, a number, a
        string or pixels (binary). Its values are doubles or arrays of doubles.
    """
    param = scoring.ml_columns[0] if scoring.ml_columns else ""
    predict = partial(
        _predict,
        replace(trained, weights=(), archive=None, onnx=None),
        parameters,
        scoring,
        settings,
        keep_invalid,
    )
    annotate(predict, "predict", Iterator[pd.Series])
    make_udf: Any = pandas_udf
    return make_udf(predict, "double" if is_number(scoring.kinds[0], param) else "array<double>")


# Not within `sql_function`, see runtime/kernel_cache.py.
def _predict(
    trained: TrainedModel,
    parameters: Parameters,
    scoring: Scoring,
    settings: ProcessSettings,
    keep_invalid: bool,
    batches: Iterator[Any],
) -> Iterator[pd.Series]:
    field = scoring.ml_columns[0] if scoring.ml_columns else PREDICTION
    settings.apply()
    predictor = cached_predictor(
        replace(trained, **parameters.value), with_logits=scoring.with_logits
    )
    for batch in batches:
        columns = batch if isinstance(batch, tuple) else (batch,)
        if len(columns) != len(scoring.features):
            raise ScoringError(
                f"expected {len(scoring.features)} columns of features, one for each input of "
                f"the model, got {len(columns)}"
            )
        rows, dtypes = [], []
        for column, dtype in zip(columns, scoring.dtypes, strict=True):
            values = _rows_of(column, dtype)
            is_pixels = any(isinstance(value, bytes) for value in values)
            rows.append(values)
            dtypes.append("uint8" if is_pixels else dtype)
        scores = score_columns(predictor, replace(scoring, dtypes=dtypes), rows)
        reasons = scores[REASON].dropna()
        if len(reasons) and not keep_invalid:
            raise ScoringError(
                f'{reasons.iloc[0]}. Correct the row, or set handleInvalid to "keep", which '
                "gives null"
            )
        yield scores[field]


def _rows_of(column: Any, dtype: str) -> list[Any]:
    """Return features as bytes or arrays, and None for null.

    Args:
        column: Series of bytes, arrays, numbers or strings, or a frame of vectors.
        dtype: NumPy type of the values, or ``string``.
    """
    if isinstance(column, pd.DataFrame):
        if "indices" not in column:
            raise ScoringError(
                f"features: expected numbers, vectors, strings or pixels, got a struct of "
                f"{', '.join(map(str, column.columns))}"
            )
        return [_vector(row, dtype) for row in column.itertuples(index=False)]
    kind: Any = object if dtype == STRING else dtype
    return [_row(value, kind) for value in column]


def _row(value: Any, kind: Any) -> Any:
    if value is None or isinstance(value, bytes):
        return value
    try:
        return np.atleast_1d(np.asarray(value, kind))
    except (TypeError, ValueError):
        raise ScoringError(
            f"features: expected {'strings' if kind is object else 'numbers'}, got "
            f"{type(value).__name__}. Cast the column"
        ) from None


def _vector(row: Any, dtype: str) -> Any:
    if row.type is None or pd.isna(row.type):
        return None
    if row.type == _DENSE:
        return np.asarray(row.values, dtype)
    dense = np.zeros(int(row.size), dtype)
    dense[row.indices] = row.values
    return dense
