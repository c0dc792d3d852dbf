"""Tests for glasses_spark.training.fit_result."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import TrainingError, WorkerError
from glasses_spark.training import fit_result
from glasses_spark.training.fit_result import FitResult
from glasses_spark.training.history import EpochRecord, WorkerShare

HISTORY = [EpochRecord(1, {"loss": 0.5}, 3, (WorkerShare(0, 3, 0.1, 0.0, 0.0),))]


def rows_of(result: FitResult) -> list[Any]:
    return [SimpleNamespace(**row) for batch in result.rows() for row in batch.to_pylist()]


def test_a_result_comes_back_from_its_rows_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_result, "PIECE_BYTES", 100)
    weights = [np.arange(50, dtype="float32").reshape(5, 10), np.array(True)]
    rows = rows_of(FitResult(HISTORY, weights, [np.array(7)]))
    assert len(rows) > 5
    result = FitResult.of_rows(reversed(rows))
    assert result.history == HISTORY
    assert [w.tolist() for w in result.weights] == [w.tolist() for w in weights]
    assert [w.dtype for w in result.weights] == [w.dtype for w in weights]
    assert result.optimizer[0] == 7
    result.require_complete()


@pytest.mark.parametrize("kind", [WorkerError, TrainingError])
def test_an_error_comes_back_as_the_error_that_it_was(kind: type[TrainingError]) -> None:
    error = kind("worker 1 failed")
    error.add_note("its traceback")
    result = FitResult.of_rows(rows_of(FitResult.of_error(error)))
    with pytest.raises(kind, match="worker 1 failed") as raised:
        result.require_complete()
    assert type(raised.value) is kind
    assert str(raised.value) == "worker 1 failed"
    assert raised.value.__notes__ == ["its traceback"]


def test_missing_rows_are_named() -> None:
    with pytest.raises(WorkerError, match="got 0 parts of it"):
        FitResult.of_rows([])


def test_another_error_is_one_of_the_coordinator_with_its_traceback() -> None:
    result = FitResult.of_rows(rows_of(FitResult.of_error(KeyError("loss"))))
    with pytest.raises(WorkerError, match="the coordinator of the fit failed: KeyError") as raised:
        result.require_complete()
    assert "KeyError" in raised.value.__notes__[-1]
