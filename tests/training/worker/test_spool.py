"""Tests for glasses_spark.training.worker.spool."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from glasses_spark.training.worker.spool import RowFormat, Rows, Spool

FORMAT = RowFormat(feature_dtype="uint8", feature_size=3, label_size=1, dtype="float32")


def rows(*numbers: int) -> Rows:
    made = np.zeros(len(numbers), FORMAT.record)
    made["x"] = np.array(numbers)[:, None]
    made["y"][:, 0] = numbers
    made["weight"] = 1
    return made


def test_rows_come_back_in_the_order_of_their_keys() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(7, 8), np.array([30, 10]))
        spool.append(rows(9), np.array([20]))
        spool.close_for_reading()
        x, y, weight = spool.take(np.arange(3))
    assert y[:, 0].tolist() == [8, 9, 7]
    assert x.dtype == np.uint8
    assert x.tolist() == [[8] * 3, [9] * 3, [7] * 3]
    assert weight.tolist() == [1, 1, 1]


def test_batches_hold_every_row_once_and_end_with_what_is_left() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(*range(10)), np.arange(10))
        spool.close_for_reading()
        sizes, seen = [], []
        for _, y, _ in spool.batches(np.arange(10)[::-1].copy(), 4):
            sizes.append(len(y))
            seen += y[:, 0].astype(int).tolist()
        rest = [len(y) for _, y, _ in spool.batches(np.arange(10), 4, first=2)]
    assert sizes == [4, 4, 2]
    assert seen == list(range(10))[::-1]
    assert rest == [2]


def test_a_spool_without_rows_has_no_batches() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(), np.zeros(0, np.int64))
        spool.close_for_reading()
        assert len(spool) == 0
        assert list(spool.batches(np.arange(0), 4)) == []


def test_a_reader_that_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with Spool(FORMAT) as spool:
        spool.append(rows(*range(100)), np.arange(100))
        spool.close_for_reading()
        batches = spool.batches(np.arange(100), 1)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before


def test_an_error_of_the_reader_reaches_the_worker() -> None:
    with Spool(FORMAT) as spool:
        spool.append(rows(1), np.arange(1))
        spool.close_for_reading()
        with pytest.raises(IndexError):
            list(spool.batches(np.array([5]), 1))


def test_the_file_has_no_name_that_could_be_left_behind(tmp_path: Path) -> None:
    with Spool(FORMAT, str(tmp_path)) as spool:
        spool.append(rows(1), np.arange(1))
        spool.close_for_reading()
        assert list(tmp_path.iterdir()) == []
