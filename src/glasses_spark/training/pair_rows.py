"""Pair rows: an RDD of Elephas, of pairs or of features, as a DataFrame for a fit or a transform.

Executors import this module, so it imports neither Elephas nor Spark ML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from glasses_spark.errors import DataError
from glasses_spark.scoring.features import STRING

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame, SparkSession

_SQL_TYPES: Final = {"float32": "float", "float64": "double", "int64": "bigint"}


@dataclass(frozen=True)
class PairField:
    """The features of one input, or the labels of one output.

    Attributes:
        column: Column of the DataFrame.
        port: Name of the input or output.
        name: What messages call the values.
        dtype: ``float32``, ``float64``, ``int64`` or ``string``.
        shape: Shape of a row's values, with None for any length.
        is_number: Whether the column has a number in each row, instead of an array.
    """

    column: str
    port: str
    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()
    is_number: bool = False

    @property
    def size(self) -> int | None:
        """Number of values in a row; None for any."""
        return None if None in self.shape else int(np.prod(self.shape))  # type: ignore[arg-type]

    @property
    def sql_type(self) -> str:
        """Type of the column."""
        if self.dtype == STRING:
            return "array<string>"
        kind = _SQL_TYPES[self.dtype]
        return kind if self.is_number else f"array<{kind}>"

    @property
    def stored_type(self) -> str:
        """Type of the column before `_decode`."""
        return self.sql_type if self.is_number or self.dtype == STRING else "binary"


def pairs_frame(
    spark: SparkSession, rdd: RDD[Any], features: Sequence[PairField], labels: Sequence[PairField]
) -> DataFrame:
    """Convert an RDD of pairs of features and labels, as ``to_simple_rdd`` makes it.

    Features and labels may be NumPy arrays of any shape, which are flattened, vectors, lists,
    numbers or strings. Those of several inputs or outputs are a list, a tuple or a mapping, or
    one flat array in their order.

    Args:
        spark: The running session.
        rdd: The pairs. Partitions and the order of the rows are kept.
        features: The inputs.
        labels: The outputs with labels.

    Returns:
        A DataFrame with the columns of all fields.

    Raises:
        DataError: While the rows are read: one is no pair, or does not fit the fields.
    """
    return _frame(
        spark, rdd.mapPartitions(partial(_encode_pairs, features, labels)), features, labels
    )


def features_frame(spark: SparkSession, rdd: RDD[Any], features: Sequence[PairField]) -> DataFrame:
    """Convert an RDD of features; see `pairs_frame`."""
    return _frame(spark, rdd.mapPartitions(partial(_encode_features, features)), features, ())


def pair_of_point(point: Any) -> Any:
    """Return features and label of a ``LabeledPoint``; anything else as it is."""
    return (point.features, point.label) if hasattr(point, "features") else point


def parts_of_rows(values: Any, fields: Sequence[PairField], what: str) -> Any:
    """Return arrays of rows in the form that Keras takes.

    Args:
        values: Array ``(rows, ...)``, or a list or mapping of one for each field.
        fields: The fields.
        what: ``features`` or ``labels``, for messages.

    Returns:
        An array, or one for each field.

    Raises:
        DataError: A row has another number of values than the fields.
    """
    if len(fields) == 1:
        return _shaped(np.asarray(values), fields[0])
    if isinstance(values, Mapping):
        return values
    if isinstance(values, list | tuple) and len(values) == len(fields):
        return [_shaped(np.asarray(each), f) for each, f in zip(values, fields, strict=True)]
    rows = np.asarray(values)
    flat = rows.reshape(len(rows), -1)
    parts = np.split(flat, np.cumsum(_sizes(flat.shape[1], fields, what))[:-1], axis=1)
    return [_shaped(part, field) for part, field in zip(parts, fields, strict=True)]


def _shaped(rows: Any, field: PairField) -> Any:
    # Keras adds a last side of 1 itself. Its traced step takes arrays of one rank only, so rows
    # keep the form in which the user passes them to Keras as well.
    if field.size is None or field.shape in (rows.shape[1:], (*rows.shape[1:], 1)):
        return rows
    found = int(np.prod(rows.shape[1:]))
    if found != field.size:
        raise _wrong_size(field, found)
    return rows.reshape(len(rows), *field.shape)


def _frame(
    spark: SparkSession, encoded: Any, features: Sequence[PairField], labels: Sequence[PairField]
) -> DataFrame:
    # Bytes on the way: Spark converts each number of an array on its own.
    fields = [*features, *labels]
    stored = ", ".join(f"{field.column} {field.stored_type}" for field in fields)
    schema = ", ".join(f"{field.column} {field.sql_type}" for field in fields)
    frame = spark.createDataFrame(encoded, stored, verifySchema=False)
    return frame.mapInArrow(partial(_decode, fields), schema)


def _encode_pairs(
    features: Sequence[PairField], labels: Sequence[PairField], rows: Iterable[Any]
) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if not isinstance(row, tuple | list) or len(row) != 2:
            hint = ". Use GlassesSparkMLlibModel" if hasattr(row, "features") else ""
            raise DataError(
                "expected an RDD of pairs (features, label), as to_simple_rdd makes it, got "
                f"{_describe(row)}{hint}"
            )
        yield (*_encode(row[0], features, "features"), *_encode(row[1], labels, "labels"))


def _encode_features(
    features: Sequence[PairField], rows: Iterable[Any]
) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield tuple(_encode(row, features, "features"))


def _encode(value: Any, fields: Sequence[PairField], what: str) -> Iterator[Any]:
    for part, field in zip(_parts(value, fields, what), fields, strict=True):
        values = _values(part, field)
        if field.dtype == STRING:
            yield [str(text) for text in values]
        elif field.is_number:
            yield float(values[0])
        else:
            yield bytearray(np.ascontiguousarray(values, field.dtype).tobytes())


def _parts(value: Any, fields: Sequence[PairField], what: str) -> Sequence[Any]:
    """Return the values of each field."""
    names = [field.port for field in fields]
    if isinstance(value, Mapping):
        if set(value) != set(names):
            raise DataError(
                f"{what}: expected a mapping with the keys {', '.join(names)}, got "
                f"{', '.join(map(str, value))}"
            )
        return [value[name] for name in names]
    if len(fields) == 1:
        return [value]
    if isinstance(value, list | tuple) and len(value) == len(fields):
        return value
    flat = _flat(value, what)
    return np.split(flat, np.cumsum(_sizes(flat.size, fields, what))[:-1])


def _sizes(found: int, fields: Sequence[PairField], what: str) -> list[int]:
    """Return the number of values of each field in a flat row."""
    sizes = [field.size for field in fields]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes) or sum(known) != found:
        raise DataError(
            f"{what}: expected a list with the values of "
            f"{', '.join(field.port for field in fields)}, or {' + '.join(map(str, sizes))} "
            f"values in a row, got {found}"
        )
    return known


def _values(value: Any, field: PairField) -> Any:
    """Return a row's values of a field as a flat array."""
    flat = _flat(value, field.name)
    if field.dtype == STRING:
        if not all(isinstance(text, str) for text in flat):
            raise DataError(f"{field.name}: expected strings, got {_describe(value)}")
    elif flat.dtype.kind not in "biuf":
        raise DataError(f"{field.name}: expected numbers in every row, got {_describe(value)}")
    if field.size is not None and flat.size != field.size:
        raise _wrong_size(field, flat.size)
    return flat


def _wrong_size(field: PairField, found: int) -> DataError:
    shape = " x ".join(map(str, field.shape))
    unit = f"values of the shape {shape}" if len(field.shape) > 1 else "values"
    return DataError(f"{field.name}: expected {field.size} {unit} in every row, got {found}")


def _flat(value: Any, name: str) -> Any:
    # Vectors of Spark ML and MLlib, dense or sparse.
    value = value.toArray() if hasattr(value, "toArray") else value
    try:
        return np.asarray(value).reshape(-1)
    except ValueError as error:
        raise DataError(f"{name}: expected an array, got {_describe(value)}") from error


def _describe(value: Any) -> str:
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(value, str | int | float | None):
        return f"{kind} {value!r:.40}"
    return f"{kind} of the shape {tuple(shape)}" if isinstance(shape, tuple) else kind


def _decode(fields: Sequence[PairField], batches: Iterator[Any]) -> Iterator[Any]:
    """Convert binary columns to lists."""
    for batch in batches:
        columns = [
            column if field.stored_type != "binary" else _lists(column, field.dtype)
            for column, field in zip(batch.columns, fields, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, names=[field.column for field in fields])


def _lists(column: Any, dtype: str) -> Any:
    rows = column.to_pylist()
    values = np.frombuffer(b"".join(rows), dtype)
    lengths = [len(row) // values.itemsize for row in rows]
    offsets = np.cumsum([0, *lengths]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
