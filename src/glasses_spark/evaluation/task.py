"""Task: what a frame of predictions can be evaluated as, seen from its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, NumericType, StringType

from glasses_spark.columns import LABEL, PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.scoring.prediction_kind import (
    LOGITS,
    NUMBERS,
    PROBABILITIES,
    PredictionKind,
)

# Names of the tasks, as messages show them.
TWO_CLASSES: Final = "two classes"
MORE_CLASSES: Final = "three or more classes"
REGRESSION: Final = "a regression"

# A softmax in 16 bits sums to 1 within this; independent probabilities do not.
SUM_TOLERANCE: Final = 0.01
# Spark orders NaN above this number.
LARGEST: Final = 1.7976931348623157e308


@dataclass(frozen=True)
class Task:
    """What predictions are.

    Attributes:
        name: `TWO_CLASSES`, `MORE_CLASSES` or `REGRESSION`.
        outputs: Numbers in a prediction; 0 if unknown.
        logits: Whether they are logits and not probabilities.
    """

    name: str
    outputs: int = 0
    logits: bool = False


def task_of(predictions: DataFrame) -> Task:
    """Return what the predictions are, without a Spark job if their metadata tell.

    A prediction that is a number belongs to a regression. An array of one or two numbers
    belongs to two classes, a longer one to as many classes as it has numbers. They are
    probabilities, unless the metadata of the column say otherwise; see `GlassesModel`.

    Args:
        predictions: Has ``label`` and ``prediction``.

    Raises:
        ScoringError: A column is missing or has a type that cannot be evaluated, or the
            model's outputs are neither probabilities, nor logits, nor one number.
    """
    require_label(predictions)
    task = task_from_schema(predictions)
    if task.name == REGRESSION or task.outputs:
        return task
    row = predictions.select(F.size(PREDICTION)).head()
    outputs = (row[0] or 0) if row else 0
    return Task(MORE_CLASSES if outputs > 2 else TWO_CLASSES, outputs, task.logits)


def task_from_schema(predictions: DataFrame) -> Task:
    """Return what the predictions are according to the frame's schema; labels are not needed.

    Two classes are assumed if the number of outputs is not known.

    Raises:
        ScoringError: See `task_of`.
    """
    _require_columns(predictions, PREDICTION)
    field = predictions.schema[PREDICTION]
    kind = PredictionKind.of_column(field)
    _require_known_kind(kind)
    if isinstance(field.dataType, NumericType):
        return Task(REGRESSION, 1)
    if not (
        isinstance(field.dataType, ArrayType)
        and isinstance(field.dataType.elementType, NumericType)
    ):
        raise ScoringError(
            f"cannot evaluate: expected a number or an array of numbers as {PREDICTION}, got "
            f"{field.dataType.simpleString()}"
        )
    if kind.name == NUMBERS:
        raise ScoringError(
            f"cannot evaluate: expected one number as {PREDICTION} of a regression, found "
            f"{kind.size}. Select one of them, such as {PREDICTION}[0]"
        )
    several = kind.size > 2
    return Task(MORE_CLASSES if several else TWO_CLASSES, kind.size, kind.name == LOGITS)


def require_label(predictions: DataFrame) -> None:
    """Require the columns ``label`` and ``prediction``, and a number as label.

    Raises:
        ScoringError: A column is missing, or the label is no number.
    """
    _require_columns(predictions, LABEL, PREDICTION)
    label = predictions.schema[LABEL].dataType
    if not isinstance(label, NumericType | BooleanType | StringType):
        raise ScoringError(
            f"cannot evaluate: expected a number as {LABEL}, got {label.simpleString()}. For "
            "one-hot labels, use the number of the class"
        )


def _require_columns(predictions: DataFrame, *names: str) -> None:
    missing = [name for name in names if name not in predictions.columns]
    if missing:
        raise ScoringError(
            f"cannot evaluate: expected the columns {' and '.join(names)}, "
            f"found no {' and no '.join(missing)} among {', '.join(predictions.columns)}"
        )


def _require_known_kind(kind: PredictionKind) -> None:
    if kind.name not in ("", PROBABILITIES, LOGITS, NUMBERS):
        raise ScoringError(
            f"cannot evaluate: expected probabilities, logits or one number, found {kind.name}. "
            "Train with a loss of one of these, or compute the metric from the column "
            f"{PREDICTION}; GlassesModel.set_prediction_kind tells what the outputs of a custom "
            "loss are"
        )
