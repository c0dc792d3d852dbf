"""Tests for glasses_spark.preflight.advise.forecast."""

from __future__ import annotations

import dataclasses

import pytest

from glasses_spark.preflight.advise.forecast import (
    REFERENCE_START_S,
    STORED_JOB_S,
    Forecast,
    Measurements,
    Steps,
    Workload,
    forecast,
    forecast_all,
    forecast_keras,
)

LOAD = Workload(images=1000, pixels=128 * 128, test=0.2, validation=0.0, epochs=10, batch_size=100)
MEASURED = Measurements(
    cores=2,
    spark_start_s=REFERENCE_START_S,
    list_s=3.0,
    import_s=3.0,
    decode_s=0.01,
    exchange_s=0.01,
    steps={
        1: Steps(1.0, {"float32": 0.10, "bfloat16": 0.05}, 0.001),
        2: Steps(1.5, {"float32": 0.18, "bfloat16": 0.09}, 0.002),
    },
    keras_start_s=2.0,
    keras_step_s=0.12,
    keras_decode_s=0.02,
)


def forecast_of(
    workers: int,
    *,
    mode: str = "asynchronous",
    frequency: str = "batch",
    precision: str = "float32",
    measured: Measurements = MEASURED,
    load: Workload = LOAD,
) -> Forecast:
    """Forecast a run with these measurements."""
    return forecast(
        measured, load, mode=mode, frequency=frequency, workers=workers, precision=precision
    )


@pytest.mark.parametrize(
    ("workers", "mode", "frequency", "seconds"),
    [
        (1, "asynchronous", "batch", 8 * (0.10 + 0.01)),
        (1, "asynchronous", "epoch", 8 * 0.10 + 0.01),
        (2, "asynchronous", "batch", 4 * 0.18 + 8 * 0.01),
        (2, "synchronous", "batch", 4 * (0.18 * 1.03 + 2 * 0.01)),
        (2, "synchronous", "epoch", 4 * 0.18 * 1.03 + 2 * 0.01),
    ],
)
def test_an_epoch_is_the_sum_of_its_steps_and_exchanges(
    workers: int, mode: str, frequency: str, seconds: float
) -> None:
    assert forecast_of(workers, mode=mode, frequency=frequency).epoch_s == pytest.approx(seconds)


def test_bfloat16_makes_only_the_steps_faster() -> None:
    assert forecast_of(1, precision="bfloat16").epoch_s == pytest.approx(8 * (0.05 + 0.01))


def test_a_small_last_batch_takes_a_full_exchange() -> None:
    load = dataclasses.replace(LOAD, images=1010)  # 808 rows to train on

    assert forecast_of(1, load=load).epoch_s == pytest.approx(8.08 * 0.10 + 9 * 0.01)


def test_a_saturated_server_limits_the_speed() -> None:
    slow = dataclasses.replace(MEASURED, exchange_s=1.0)

    assert forecast_of(2, measured=slow).epoch_s == pytest.approx(8 * 2 * 1.0)


def test_validation_is_part_of_an_epoch() -> None:
    load = dataclasses.replace(LOAD, validation=0.1)

    assert forecast_of(2, load=load).epoch_s == pytest.approx(
        3.5 * 0.18 + 7 * 0.01 + 100 / 2 * 0.002
    )


def test_decoding_time_grows_with_the_images_and_a_filled_store_avoids_it() -> None:
    more = dataclasses.replace(LOAD, images=2000)
    few, many = forecast_of(1), forecast_of(1, load=more)

    assert many.prepare_s - few.prepare_s == pytest.approx(1000 * 0.01 / 0.92)
    assert few.stored_s is not None
    assert few.total_s - few.stored_s == pytest.approx(few.prepare_s - 3.0 - STORED_JOB_S)


def test_a_slow_start_of_spark_makes_its_jobs_slow() -> None:
    slow = dataclasses.replace(MEASURED, spark_start_s=2 * REFERENCE_START_S)

    assert forecast_of(1, measured=slow).total_s - forecast_of(1).total_s > REFERENCE_START_S + 8


def test_memory_grows_with_the_workers_and_for_keras_with_the_images() -> None:
    more = dataclasses.replace(LOAD, images=2000)

    assert forecast_of(2).memory - forecast_of(1).memory == 650 * 10**6
    assert forecast_of(1).memory == forecast_of(1, load=more).memory
    grown = forecast_keras(MEASURED, more).memory - forecast_keras(MEASURED, LOAD).memory
    assert grown == 1000 * 128 * 128 * 5


def test_all_ways_are_forecast_with_plain_keras_last() -> None:
    rows = forecast_all(MEASURED, LOAD)

    assert len({(row.way, row.workers, row.precision) for row in rows}) == 2 * 2 * 2 * 2 + 1
    assert rows[-1].way == "keras"
