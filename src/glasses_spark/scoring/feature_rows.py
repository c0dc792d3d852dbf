"""Feature rows: rows of features as a matrix, and the reason of each that cannot be scored.

Each worker imports this module, so it imports neither Elephas nor Spark ML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.scoring.features import STRING

_PIXELS: Final = "uint8"


@dataclass(frozen=True)
class RowFormat:
    """Format of the features of one input.

    Attributes:
        name: What messages call the features, such as ``column 'features'``.
        dtype: NumPy type of the values, or ``string``; ``uint8`` for pixels.
        shape: Shape of the input without the batch dimension.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of values in a row."""
        return prod(self.shape)


def feature_matrix(
    rows: Sequence[Any], row_format: RowFormat
) -> tuple[npt.NDArray[Any], dict[int, str]]:
    """Convert rows of features to a matrix.

    Args:
        rows: For each row bytes, an array or None.
        row_format: What they should be.

    Returns:
        Matrix ``(rows, size)`` with zeros or empty strings in the rows that cannot be scored,
        and the reason of each of these, by its position.
    """
    reasons = [_reason(row, row_format) for row in rows]
    invalid = {position: reason for position, reason in enumerate(reasons) if reason}
    empty = _empty_row(row_format)
    usable = [empty if position in invalid else row for position, row in enumerate(rows)]
    if row_format.dtype == _PIXELS:
        return np.frombuffer(b"".join(usable), np.uint8).reshape(-1, row_format.size), invalid
    if not usable:
        return np.zeros((0, row_format.size), empty.dtype), invalid
    values = np.stack(usable)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        for position in np.flatnonzero(~finite.all(axis=1)).tolist():
            place = int(np.argmin(finite[position]))
            found = f"{_number(values[position, place])} at place {place}"
            invalid[position] = _message(row_format, "finite numbers", found)
            values[position] = 0
    return values, invalid


def _reason(row: Any, row_format: RowFormat) -> str:
    """Return why a row cannot be scored, apart from numbers that are not finite."""
    if row is None:
        return _message(row_format, "a value", "null")
    if len(row) != row_format.size:
        unit = {_PIXELS: "pixels", STRING: "strings"}.get(row_format.dtype, "numbers")
        shape = " x ".join(map(str, row_format.shape)) or "one value"
        wanted = f"{row_format.size} {unit} for an input of {shape}"
        return _message(row_format, wanted, str(len(row)))
    if row_format.dtype == STRING and None in (values := list(row)):
        return _message(row_format, "strings", f"null at place {values.index(None)}")
    return ""


def _message(row_format: RowFormat, wanted: str, found: str) -> str:
    return f"{row_format.name}: expected {wanted} in every row, got {found}"


def _number(value: Any) -> str:
    # Spark gives a null between floating-point numbers as NaN.
    return "NaN or null" if np.isnan(value) else f"{value:+} ({value.dtype})"


def _empty_row(row_format: RowFormat) -> Any:
    if row_format.dtype == _PIXELS:
        return bytes(row_format.size)
    if row_format.dtype == STRING:
        return np.full(row_format.size, "", object)
    return np.zeros(row_format.size, row_format.dtype)
