"""Tests for glasses_spark.scoring.feature_rows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from glasses_spark.scoring.feature_rows import RowFormat, feature_matrix

X = "column 'x'"
NAN, INF = float("nan"), float("inf")


def strings(*values: str | None) -> Any:
    return np.array(values, object)


@pytest.mark.parametrize(
    ("dtype", "shape", "valid", "invalid", "reason"),
    [
        ("float32", (2,), np.ones(2), None, "expected a value in every row, got null"),
        ("float32", (), np.ones(1), np.ones(2), "for an input of one value in every row, got 2"),
        (
            "float32",
            (1, 2),
            np.ones(2),
            np.ones(3),
            "2 numbers .* of 1 x 2 in every row, got 3",
        ),
        ("float32", (2,), np.ones(2), np.array([0, NAN]), "finite .* got NaN or null at place 1"),
        ("float32", (2,), np.ones(2), np.array([INF, 0]), r"got \+inf \(float64\) at place 0"),
        ("float64", (2,), np.ones(2), np.array([0, -INF]), r"got -inf \(float64\) at place 1"),
        ("int64", (2,), np.array([2**60 + 1, 2]), np.array([1]), "got 1"),
        ("uint8", (2, 2), b"1234", b"123", "expected 4 pixels for .* 2 x 2 in every row, got 3"),
        ("uint8", (2, 2), b"1234", b"", "got 0"),
        ("uint8", (2, 2), b"1234", None, "got null"),
        ("string", (), strings("a"), strings(None), "strings in every row, got null at place 0"),
        ("string", (), strings("a"), None, "got null"),
        ("string", (2,), strings("a", ""), strings("a"), "expected 2 strings for"),
    ],
)
def test_a_row_that_cannot_be_scored_has_a_reason(
    dtype: str, shape: tuple[int, ...], valid: Any, invalid: Any, reason: str
) -> None:
    row_format = RowFormat(X, dtype, shape)
    alone, none = feature_matrix([valid, valid], row_format)
    assert none == {}

    values, reasons = feature_matrix([valid, invalid, valid], row_format)

    assert list(reasons) == [1]
    assert reasons[1].startswith(f"{X}: expected ")
    assert re.search(reason, reasons[1])
    assert values.dtype == alone.dtype
    np.testing.assert_array_equal(values[[0, 2]], alone)


def test_no_rows_have_the_shape_of_rows() -> None:
    for dtype in ("float32", "int64", "uint8", "string"):
        assert feature_matrix([], RowFormat(X, dtype, (3,)))[0].shape == (0, 3)
