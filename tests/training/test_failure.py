"""Tests of fits on Spark whose workers are killed or stopped."""

from __future__ import annotations

import logging
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import GlassesEstimator, build_estimator
from glasses_spark.errors import WorkerError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.master import TASK_ATTEMPTS
from glasses_spark.training.spark_job import RESTARTS
from tests.training.tiny import separable, tiny_model

pytestmark = pytest.mark.slow

ROWS = 40
EPOCHS = 4


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    x, y = separable(ROWS)
    rows = [(a.tolist(), float(b[0])) for a, b in zip(x, y, strict=True)]
    return spark.createDataFrame(rows, "features array<double>, label double").cache()


class Signals:
    """Keras callback that sends a signal to the process of worker 1 after some epochs."""

    def __init__(
        self, log: pytest.LogCaptureFixture, number: int, epochs: Sequence[int] = (0,)
    ) -> None:
        callback: Any = import_keras().callbacks.LambdaCallback
        self._log = log
        self._number = number
        self._epochs = epochs
        self.sent: list[int] = []
        self.callback = callback(on_epoch_end=self._send)

    def _send(self, epoch: int, logs: object) -> None:
        if epoch in self._epochs:
            self.sent.append(int(processes(self._log)[-1]))
            os.kill(self.sent[-1], self._number)


def estimator(
    mode: str,
    frequency: str,
    epochs: int,
    callbacks: Sequence[Any] = (),
    *,
    stall_timeout: float = 60.0,
) -> GlassesEstimator:
    return build_estimator(
        tiny_model(),
        epochs,
        4,
        categorical=False,
        num_workers=2,
        mode=mode,
        frequency=frequency,
        callbacks=callbacks,
        stall_timeout=stall_timeout,
    )


def processes(log: pytest.LogCaptureFixture) -> list[str]:
    """Return the processes of worker 1, in the order in which they joined."""
    return re.findall(r"worker 1 has joined from .*, process (\d+)", log.text)


def test_an_asynchronous_fit_with_a_killed_worker_uses_each_row_once_per_epoch(
    frame: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "glasses_spark")
    signals = Signals(caplog, signal.SIGKILL)
    # Enough epochs, so that the fit is still running when the signal arrives.
    fitted = estimator("asynchronous", "batch", 150, [signals.callback]).fit(frame)
    assert len(signals.sent) == 1
    assert [epoch["rows"] for epoch in fitted.history] == [ROWS] * 150
    assert len(set(processes(caplog))) == 2


def test_a_fit_outlives_more_deaths_than_its_budget_if_it_goes_on_in_between(
    frame: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "glasses_spark")
    epochs = range(RESTARTS + 2)
    signals = Signals(caplog, signal.SIGKILL, epochs)
    # Synchronous workers wait for the callback, so each kill meets a new process.
    fitted = estimator("synchronous", "batch", len(epochs) + 1, [signals.callback]).fit(frame)
    assert len(set(signals.sent)) == len(epochs)
    assert [epoch["rows"] for epoch in fitted.history] == [ROWS] * (len(epochs) + 1)


def test_a_killed_synchronous_worker_does_not_change_the_result(
    frame: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "glasses_spark")
    undisturbed = estimator("synchronous", "batch", EPOCHS).fit(frame)
    caplog.clear()
    signals = Signals(caplog, signal.SIGKILL)
    disturbed = estimator("synchronous", "batch", EPOCHS, [signals.callback]).fit(frame)
    assert len(signals.sent) == 1
    assert len(set(processes(caplog))) == 2
    assert [epoch["rows"] for epoch in disturbed.history] == [ROWS] * EPOCHS
    assert all(
        np.array_equal(a, b) for a, b in zip(undisturbed.weights, disturbed.weights, strict=True)
    )


def test_a_fit_is_not_restarted_if_no_worker_has_joined(frame: DataFrame, tmp_path: Path) -> None:
    def load(log: str) -> None:
        with open(log, "a") as file:
            file.write("tried\n")
        raise ModuleNotFoundError("No module named 'missing'")

    class MissingModule:
        def __reduce__(self) -> Any:
            return load, (str(tmp_path / "log"),)

    lost = estimator("asynchronous", "batch", EPOCHS)
    lost.set_custom_objects({"missing": MissingModule()})
    lost.set_num_workers(1)
    with pytest.raises(WorkerError, match="No module named 'missing'"):
        lost.fit(frame)
    # By Spark, which retries a task, and not again by the fit.
    assert (tmp_path / "log").read_text() == "tried\n" * TASK_ATTEMPTS


def test_a_stopped_worker_ends_the_fit_after_the_stall_timeout(
    frame: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "glasses_spark")
    signals = Signals(caplog, signal.SIGSTOP)
    stopped = estimator("synchronous", "batch", EPOCHS, [signals.callback], stall_timeout=3.0)
    try:
        with pytest.raises(WorkerError, match=r"worker 1 on .*, process \d+ has not responded for"):
            stopped.fit(frame)
    finally:
        for process in signals.sent:
            if os.path.exists(f"/proc/{process}"):
                os.kill(process, signal.SIGKILL)
