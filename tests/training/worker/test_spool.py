"""Tests for glasses_spark.training.worker.spool."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from glasses_spark.training.worker.spool import RowField, RowFormat, Rows, Spool
from glasses_spark.training.worker.texts import Texts

FORMAT = RowFormat((RowField("uint8", 3),), (RowField("float32", 1),), "float32")


def rows(*numbers: int) -> Rows:
    """Rows whose features and label are all the same number."""
    records = np.zeros(len(numbers), FORMAT.record)
    records["x"] = np.array(numbers)[:, None]
    records["y"][:, 0] = numbers
    records["weight"] = 1
    return records


def test_rows_are_sorted_by_their_keys() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(7, 8), np.array([30, 10]))
        spool.append(rows(9), np.array([20]))
        spool.close_for_reading()
        (x,), (y,), weight = spool.take(np.arange(3))
    assert y[:, 0].tolist() == [8, 9, 7]
    assert x.dtype == np.uint8
    assert x.tolist() == [[8] * 3, [9] * 3, [7] * 3]
    assert weight.tolist() == [1, 1, 1]


def test_each_input_and_output_has_its_own_values() -> None:
    form = RowFormat(
        (RowField("uint8", 2), RowField("string", 1), RowField("int64", 1)),
        (RowField("float32", 1), RowField("int64", 0)),
        "float64",
    )
    with Texts() as texts, Spool(form, texts=texts) as spool:
        written = np.zeros(2, form.record)
        written["x"] = [[1, 2], [3, 4]]
        written["x_1"] = texts.append(pa.array([["a"], ["Köln"]]), 1, "city")
        written["x_2"][:, 0] = [2**53 + 1, 2**53]
        written["y"][:, 0] = [0.5, 1.5]
        spool.append(written, np.array([2, 1]))
        texts.close_for_reading()
        spool.close_for_reading()
        (pixels, words, numbers), (labels, none), _ = spool.take(np.arange(2))
    assert pixels.tolist() == [[3, 4], [1, 2]]
    assert words.tolist() == [["Köln".encode()], [b"a"]]
    assert numbers.tolist() == [[2**53], [2**53 + 1]]
    assert labels.tolist() == [[1.5], [0.5]]
    assert none.shape == (2, 0)


def test_batches_contain_each_row_once_and_the_last_batch_is_smaller() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(*range(10)), np.arange(10))
        spool.close_for_reading()
        reversed_order = np.arange(10)[::-1].copy()
        labels = [y[:, 0].tolist() for _, (y,), _ in spool.batches(reversed_order, 4)]
        last = [y[:, 0].tolist() for _, (y,), _ in spool.batches(np.arange(10), 4, first=2)]
    assert labels == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]
    assert last == [[8, 9]]


def test_a_spool_without_rows_has_no_batches() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(), np.zeros(0, np.int64))
        spool.close_for_reading()
        assert len(spool) == 0
        assert list(spool.batches(np.arange(0), 4)) == []


def test_the_reading_thread_ends_when_the_batches_are_closed() -> None:
    before = threading.active_count()
    with Spool(FORMAT) as spool:
        spool.append(rows(*range(100)), np.arange(100))
        spool.close_for_reading()
        batches = spool.batches(np.arange(100), 1)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before


def test_an_error_of_the_reading_thread_is_raised() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(1), np.arange(1))
        spool.close_for_reading()
        with pytest.raises(IndexError):
            list(spool.batches(np.array([5]), 1))


def test_the_file_has_no_name(tmp_path: Path) -> None:
    with Spool(FORMAT, str(tmp_path)) as spool:
        spool.append(rows(1), np.arange(1))
        spool.close_for_reading()
        assert list(tmp_path.iterdir()) == []


def test_a_spool_that_is_not_closed_for_reading_has_no_rows_to_take() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(1), np.arange(1))
        with pytest.raises(ValueError, match="Call close_for_reading first"):
            spool.take(np.arange(1))
