"""Tests for glasses_spark.runtime.interrupt."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.interrupt import interruptible


def press_ctrl_c_after(seconds: float) -> None:
    threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT]).start()


@pytest.mark.slow
def test_a_running_job_is_cancelled_and_the_session_stays_usable(spark: SparkSession) -> None:
    def wait(number: int) -> int:
        time.sleep(60)
        return number

    numbers = spark.sparkContext.parallelize([1, 2], 2)
    finished = []

    def work() -> None:
        with interruptible(spark):
            finished.append(numbers.map(wait).count())

    press_ctrl_c_after(2)
    with pytest.raises(KeyboardInterrupt):
        work()

    assert finished == []
    assert spark.range(3).count() == 3


def test_python_code_is_interrupted_as_usual(spark: SparkSession) -> None:
    finished = []

    def work() -> None:
        with interruptible(spark):
            time.sleep(60)
            finished.append(True)

    press_ctrl_c_after(0.2)
    with pytest.raises(KeyboardInterrupt):
        work()

    assert finished == []


def test_other_errors_are_raised_and_the_old_handler_is_restored(spark: SparkSession) -> None:
    before = signal.getsignal(signal.SIGINT)

    def fail() -> None:
        with interruptible(spark):
            assert signal.getsignal(signal.SIGINT) is not before
            print(1 / 0)

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_keep_the_handler(spark: SparkSession) -> None:
    seen = []

    def look() -> None:
        with interruptible(spark):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
