"""Tests for glasses_spark.training.worker.texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from glasses_spark.errors import DataError
from glasses_spark.training.worker.texts import Texts

PAIRS = pa.array([["a", ""], ["Köln", "bb"], ["", "c"]])


def test_strings_are_read_by_their_positions_in_any_order(tmp_path: Path) -> None:
    with Texts(str(tmp_path)) as texts:
        first = texts.append(PAIRS, 2, "city")
        second = texts.append(PAIRS[1:], 2, "city")
        texts.close_for_reading()
        assert list(tmp_path.iterdir()) == []
        assert texts.take(first[[2, 0]]).tolist() == [[b"", b"c"], [b"a", b""]]
        assert texts.take(second).tolist() == [["Köln".encode(), b"bb"], [b"", b"c"]]


@pytest.mark.parametrize("rows", [[], [[""], [""]]])
def test_a_file_without_text_has_empty_strings(rows: list[list[str]]) -> None:
    with Texts() as texts:
        positions = texts.append(pa.array(rows, pa.list_(pa.large_string())), 1, "city")
        texts.close_for_reading()
        assert texts.take(positions).tolist() == [[b""] for _ in rows]
        assert texts.take(np.zeros((0, 1, 2), np.int64)).shape == (0, 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["a"], None], "city: expected a value in every row, got 1 nulls"),
        ([["a"], [None]], "city: expected a value in every row, got 1 nulls"),
        ([["a"], ["a", "b"]], "city: expected 1 strings in every row, got 2"),
    ],
)
def test_nulls_and_other_lengths_are_errors(rows: list[list[str]], message: str) -> None:
    with Texts() as texts, pytest.raises(DataError, match=message):
        texts.append(pa.array(rows, pa.list_(pa.string())), 1, "city")
