"""Tests for glasses_spark.runtime.progress."""

from __future__ import annotations

import logging
import time

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.progress import BarProgress, Progress, follow_tasks

FIGURES = {"accuracy": 0.5, "loss": 0.25, "val_accuracy": 1.0, "val_loss": 0.125}


def test_log_lines_show_stages_and_epochs_with_the_loss_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "glasses_spark")
    progress = Progress()

    with progress.stage("Decoding 3 images"):
        pass
    progress.model("434,465 parameters")
    with progress.epochs(2) as show:
        show(1, FIGURES)
    progress.headline("Test: accuracy 0.9940")

    start, end, model, epoch, headline = caplog.messages
    assert start == "Decoding 3 images ..."
    assert end.startswith("Decoding 3 images: ")
    assert model == "434,465 parameters"
    assert epoch == (
        "Epoch 1/2: loss 0.2500, accuracy 0.5000, val_loss 0.1250, val_accuracy 1.0000"
    )
    assert headline == "Test: accuracy 0.9940"


def test_bars_are_drawn_on_standard_error_only(
    capsys: pytest.CaptureFixture[str], spark: SparkSession
) -> None:
    progress = BarProgress()

    with progress.stage("Decoding 3 images", spark):
        pass
    with progress.epochs(2) as show:
        show(1, FIGURES)
        show(2, FIGURES)
    with progress.counter("Drawing 3 faces", 3) as count:
        count(3)
    progress.headline("Test: accuracy 0.9940")

    out, err = capsys.readouterr()
    assert out == ""
    for line in (
        "Decoding 3 images",
        "Epoch 2/2: loss 0.2500",
        "Drawing 3 faces",
        "100%",
        "Test: a",
    ):
        assert line in err


def test_a_failing_stage_ends_its_bar_and_raises_its_error(spark: SparkSession) -> None:
    with pytest.raises(RuntimeError, match="broken"), BarProgress().stage("Decoding", spark):
        raise RuntimeError("broken")


@pytest.mark.slow
def test_the_tasks_of_running_stages_are_counted(spark: SparkSession) -> None:
    def work(partition: int, rows: object) -> list[int]:
        # Apart: Spark updates its counts at most every 0.1 s.
        time.sleep([0.5, 1.0, 3.0][partition])
        return []

    seen: list[tuple[int, int]] = []
    with follow_tasks(spark, lambda done, total: seen.append((done, total))):
        spark.sparkContext.parallelize(range(3), 3).mapPartitionsWithIndex(work).count()

    # Tasks of an earlier, interrupted test may still be running.
    finished = [done for done, total in seen if total == 3]
    assert finished == sorted(finished)
    assert 2 in finished  # the third task ends the stage, so its count may be missing
