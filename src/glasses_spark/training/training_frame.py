"""Training frame: the rows of a fit, selected from the user's DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, NumericType, StringType

from glasses_spark.columns import FEATURES
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.frames import named_column, quoted
from glasses_spark.scoring.features import features_columns
from glasses_spark.scoring.model_ports import InputPort
from glasses_spark.seeds import derive_seed
from glasses_spark.training.partition import add_keys
from glasses_spark.training.rows import KEY, TARGET, VALIDATION, WEIGHT, target_column
from glasses_spark.training.settings import Columns, FitSettings
from glasses_spark.training.worker.spool import numbered

# Resolution of the split into training and validation rows.
_SPLIT_STEPS: Final = 1_000_000

# Column of the weight without the weight of the class.
_PLAIN: Final = "plain_weight"


@dataclass(frozen=True)
class Selection:
    """Everything that the rows of a fit depend on: fits with equal ones can share their rows.

    Attributes:
        columns: The user's columns.
        ports: Inputs of the model.
        dtype: ``float32`` or ``float64``, the type of labels and weights.
        seed: Seed of the keys and of the validation split.
        validation_split: Fraction of the rows used for validation.
        class_weight: Labels with their weights in the loss.
    """

    columns: Columns
    ports: tuple[InputPort, ...]
    dtype: str
    seed: int
    validation_split: float
    class_weight: tuple[tuple[str, float], ...]

    @classmethod
    def of(
        cls, columns: Columns, settings: FitSettings, ports: Sequence[InputPort], *, dtype: str
    ) -> Self:
        """Return the selection of a fit with some settings."""
        return cls(
            columns,
            tuple(ports),
            dtype,
            settings.seed,
            settings.validation_split,
            tuple(settings.class_weight.items()),
        )


def training_frame(frame: DataFrame, selection: Selection) -> tuple[DataFrame, tuple[str, ...]]:
    """Select features, labels, weights and keys, and mark the validation rows.

    Args:
        frame: The user's DataFrame.
        selection: What to select.

    Returns:
        The columns ``features`` and ``target``, those of further inputs and outputs with a
        number, such as ``features_1``, then ``weight``, ``validation`` and those of
        `add_keys`; the dtype of the features of each input, ``uint8`` for pixels.

    Raises:
        TrainingError: A column is missing, or has a type that a fit cannot use.
    """
    columns = selection.columns
    features, feature_dtypes = features_columns(frame, columns.features, selection.ports)
    contents = {numbered(FEATURES, i): feature for i, feature in enumerate(features)}
    for i, label in enumerate(columns.labels):
        if label is not None:
            contents[numbered(TARGET, i)] = target_column(frame, label)
    number = "double" if selection.dtype == "float64" else "float"
    rows = frame.select(
        *(column.alias(name) for name, column in contents.items()),
        _weight(frame, selection).cast(number).alias(WEIGHT),
        _is_validation(frame, columns).alias(VALIDATION),
        _plain_weight(frame, columns).cast(number).alias(_PLAIN),
    )
    keyed = add_keys(rows, [*contents, WEIGHT], seed=derive_seed(selection.seed, "partition"))
    if selection.validation_split and not columns.validation:
        keyed = keyed.withColumn(VALIDATION, _in_validation_split(selection))
    if selection.class_weight:
        # As in Keras, class weights count in training rows only.
        weight = F.when(F.col(VALIDATION), F.col(_PLAIN)).otherwise(F.col(WEIGHT))
        keyed = keyed.withColumn(WEIGHT, weight)
    return keyed.drop(_PLAIN), feature_dtypes


def _weight(frame: DataFrame, selection: Selection) -> Column:
    weight = _plain_weight(frame, selection.columns)
    for label, factor in selection.class_weight:
        has_label = F.col(quoted(str(selection.columns.labels[0]))) == float(label)
        weight = F.when(has_label, weight * factor).otherwise(weight)
    return weight


def _plain_weight(frame: DataFrame, columns: Columns) -> Column:
    if columns.weight is None:
        return F.lit(1.0)
    return _typed_column(frame, columns.weight, "weight", "weightCol", "a number", NumericType)


def _is_validation(frame: DataFrame, columns: Columns) -> Column:
    if columns.validation is None:
        return F.lit(False)
    column = _typed_column(
        frame,
        columns.validation,
        "validation",
        "validationIndicatorCol",
        "true or false",
        (BooleanType, NumericType, StringType),
    )
    return F.coalesce(column.cast("boolean"), F.lit(False))


def _typed_column(
    frame: DataFrame,
    name: str,
    what: str,
    setting: str,
    wanted: str,
    kinds: type[DataType] | tuple[type[DataType], ...],
) -> Column:
    column = named_column(frame, name, what, setting, TrainingError)
    found = frame.schema[name].dataType
    if not isinstance(found, kinds):
        raise TrainingError(
            f"{what} column {name!r}: expected {wanted} in each row, got {found.simpleString()}. "
            "Cast the column, or use another one"
        )
    return column


def _in_validation_split(selection: Selection) -> Column:
    # By the key of the row: the same rows whatever the partitions of the input.
    seed = derive_seed(selection.seed, "validation")
    position = F.pmod(F.xxhash64(F.lit(seed), F.col(KEY)), F.lit(_SPLIT_STEPS)) / _SPLIT_STEPS
    return position < selection.validation_split
