"""Advice: recommend a number of workers, or plain Keras, from the forecasts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from glasses_spark.preflight.advise.forecast import KERAS, Forecast

# Forecasts that differ by less than this share are considered equal.
TOLERANCE: Final = 0.05


@dataclass(frozen=True)
class Advice:
    """Recommendation and its reason.

    Attributes:
        answer: ``no Spark``, ``one worker`` or ``N workers``.
        reason: One sentence with the times.
        best: Forecast of the recommendation.
    """

    answer: str
    reason: str
    best: Forecast


def advise(forecasts: Sequence[Forecast], *, way: str, precision: str, memory: int) -> Advice:
    """Recommend a number of workers, or plain Keras.

    Mode, frequency and precision stay as configured, because they also affect the accuracy.

    Args:
        forecasts: As from ``forecast_all``.
        way: ``mode/frequency`` of the configuration.
        precision: Precision of the configuration.
        memory: Memory of this machine in bytes.
    """
    configured = [row for row in forecasts if row.way == way and row.precision == precision]
    fitting = [row for row in configured if row.memory <= memory] or configured[:1]
    fastest = min(fitting, key=lambda row: row.total_s)
    keras = next(row for row in forecasts if row.way == KERAS)
    if keras.memory <= memory and keras.total_s < (1 - TOLERANCE) * fastest.total_s:
        return Advice(
            "no Spark",
            f"plain Keras in one process takes {keras.total_s:.0f} s, the fastest run with Spark "
            f"takes {fastest.total_s:.0f} s ({fastest.workers} workers); Spark's start and jobs "
            "take much of this time",
            keras,
        )
    # Prefer few workers: each trains on more batches and waits less for the others.
    best = next(row for row in fitting if row.total_s <= (1 + TOLERANCE) * fastest.total_s)
    alternative = f"plain Keras in one process takes {keras.total_s:.0f} s" + (
        f" and {keras.memory / 1e9:.0f} GB of memory" if keras.memory > memory else ""
    )
    if best.workers == 1:
        most = max(fitting, key=lambda row: row.workers)
        return Advice(
            "one worker",
            f"one worker takes {best.total_s:.0f} s on all cores, {most.workers} workers take "
            f"{most.total_s:.0f} s; {alternative}",
            best,
        )
    return Advice(
        f"{best.workers} workers",
        f"{best.workers} workers take {best.total_s:.0f} s, {fitting[0].workers} takes "
        f"{fitting[0].total_s:.0f} s; {alternative}",
        best,
    )
