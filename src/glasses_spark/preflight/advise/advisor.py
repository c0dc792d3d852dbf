"""Measure this machine, forecast a run, and recommend how to train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from glasses_spark.config.config import Config
from glasses_spark.config.fields import AUTO
from glasses_spark.config.training import ASYNCHRONOUS, BFLOAT16, FLOAT32, SYNCHRONOUS
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.preflight.advise.advice import Advice, advise
from glasses_spark.preflight.advise.forecast import (
    Forecast,
    Measurements,
    Workload,
    forecast_all,
)
from glasses_spark.preflight.advise.measure import choose_worker_counts, measure
from glasses_spark.preflight.advise.task import Task
from glasses_spark.runtime.machine import count_cores, total_memory
from glasses_spark.runtime.master import is_local_master, master_in_settings
from glasses_spark.runtime.task_slots import slots_in_settings

_COLUMNS: Final = ("", "workers", "precision", "prepare", "epoch", "total", "stored", "memory")
# Hogwild mode takes the same time as asynchronous mode.
_MODE_NAMES: Final = {ASYNCHRONOUS: "asynchronous, hogwild"}


@dataclass(frozen=True)
class Report:
    """Recommendation with the forecasts and measurements that it is based on.

    Attributes:
        advice: The recommendation.
        forecasts: Forecasts of all ways to train, and of plain Keras.
        configured: ``mode/frequency`` and precision of the configuration.
        measured: The measurements.
        load: Size of the run.
    """

    advice: Advice
    forecasts: list[Forecast]
    configured: tuple[str, str]
    measured: Measurements
    load: Workload

    def as_dict(self) -> dict[str, Any]:
        """Convert the report for JSON, in seconds and bytes."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def advise_run(config: Config) -> Report:
    """Measure this machine on the data of a run, and recommend how to train.

    Args:
        config: Configuration of the run, with a local master.

    Raises:
        ConfigError: The master is not local.
        DataError: There are no images on this machine's disks.
        SetupError: A measurement failed.
    """
    cores = _count_cores(config)
    precisions, precision = _choose_precisions(config.training.precision)
    task = Task(
        config=config,
        sample=_sample_images(config.data.images, config.data.glob),
        workers=choose_worker_counts(cores),
        cores=cores,
        precisions=precisions,
    )
    measured, images = measure(task)
    training = config.training
    load = Workload(
        images=images,
        pixels=config.image.height * config.image.width,
        test=config.split.test,
        validation=config.split.validation,
        epochs=training.epochs,
        batch_size=training.batch_size,
    )
    forecasts = forecast_all(measured, load)
    mode = SYNCHRONOUS if training.mode == SYNCHRONOUS else ASYNCHRONOUS
    way = f"{mode}/{training.frequency}"
    advice = advise(forecasts, way=way, precision=precision, memory=total_memory())
    return Report(advice, forecasts, (way, precision), measured, load)


def _sample_images(images: str, glob: str) -> list[str]:
    # Imported here because it imports pyspark.
    from glasses_spark.preflight.doctor.survey import list_files, survey

    sample = survey(list_files(images, glob), None).sample
    if not sample:
        raise DataError(
            f"data.images: found no {glob} in {images} on this machine, but advise needs some "
            "images to measure with. Use a local folder, such as a copy of some of the images"
        )
    return sample


def _choose_precisions(configured: str) -> tuple[list[str], str]:
    """Return the precisions to measure, and the one that the configuration selects."""
    # Imported here because it imports pyspark.
    from glasses_spark.training.precision import has_native_bfloat16

    native = has_native_bfloat16()
    selected = (BFLOAT16 if native else FLOAT32) if configured == AUTO else configured
    return [FLOAT32, *([BFLOAT16] if native or selected == BFLOAT16 else [])], selected


def _count_cores(config: Config) -> int:
    """Count the cores that the tasks of a local master use."""
    conf = config.spark.conf
    master = master_in_settings(config.spark.master, conf)
    if not is_local_master(master):
        raise ConfigError(
            f"spark.master={master} is not local, but advise measures this machine only. Use "
            "--set 'spark.master=local[*]' to get a forecast for one machine"
        )
    cores = count_cores()
    return max(1, min(cores, slots_in_settings(master, conf, cores=cores) or 1))


def _lines(report: Report) -> Iterator[str]:
    load, measured = report.load, report.measured
    yield (
        f"{load.images:,} images, {load.epochs} epochs of batches of {load.batch_size}, on "
        f"{measured.cores} cores."
    )
    yield (
        f"Measured: {1e3 * measured.decode_s:.1f} ms to decode an image on all cores, "
        f"{1e3 * measured.exchange_s:.1f} ms to exchange weights, {measured.spark_start_s:.1f} s "
        "to start Spark."
    )
    yield ""
    yield from _table(report)
    yield ""
    yield (
        "* configured. total: the whole process, with all images decoded. stored: the same with "
        "the pixels of an earlier run."
    )
    yield f"Advice: {report.advice.answer}: {report.advice.reason}."


def _table(report: Report) -> Iterator[str]:
    rows = [_COLUMNS, *map(_cells, report.forecasts)]
    marks = [
        "*" if (forecast.way, forecast.precision) == report.configured else " "
        for forecast in report.forecasts
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for mark, (way, *numbers) in zip([" ", *marks], rows, strict=True):
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
        yield f"{mark} {way.ljust(widths[0])}  {'  '.join(cells)}".rstrip()


def _cells(forecast: Forecast) -> tuple[str, ...]:
    mode, _, frequency = forecast.way.partition("/")
    way = (
        f"{_MODE_NAMES.get(mode, mode)} / {frequency}" if frequency else "plain Keras, one process"
    )
    return (
        way,
        str(forecast.workers or "-"),
        forecast.precision,
        f"{forecast.prepare_s:.1f} s",
        f"{forecast.epoch_s:.2f} s",
        f"{forecast.total_s:.0f} s",
        "-" if forecast.stored_s is None else f"{forecast.stored_s:.0f} s",
        f"{forecast.memory / 1e9:.1f} GB",
    )
