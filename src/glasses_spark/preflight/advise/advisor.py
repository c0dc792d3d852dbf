"""Advisor: from a configuration to measurements, forecasts and an advice, as text or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.preflight.advise.forecast import (
    Advice,
    Forecast,
    Load,
    Measured,
    advise,
    forecasts,
)
from glasses_spark.preflight.advise.measure import counts_of_workers, measure
from glasses_spark.preflight.advise.probe import Task
from glasses_spark.preflight.doctor.machine import cores as cores_here
from glasses_spark.runtime.machine import total_memory
from glasses_spark.runtime.master import DEFAULT_MASTER, is_local_master
from glasses_spark.runtime.task_slots import slots_in_settings

_COLUMNS: Final = ("", "workers", "precision", "prepare", "epoch", "total", "stored", "memory")
_SAME: Final = {"asynchronous": "asynchronous, hogwild"}


@dataclass(frozen=True)
class Report:
    """What is advised, and on what grounds.

    Attributes:
        advice: The answer.
        forecasts: Of every way of training, and plain Keras.
        configured: ``mode/frequency`` and precision of the configuration.
        measured: What was measured here.
        load: What there is to do.
    """

    advice: Advice
    forecasts: list[Forecast]
    configured: tuple[str, str]
    measured: Measured
    load: Load

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the attributes, in seconds and bytes."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def advise_run(config: Config) -> Report:
    """Measure this machine on the data of a run, and say how to train.

    Args:
        config: The run; its master must be local.

    Raises:
        ConfigError: The master is another machine's, which is not measured here.
        DataError: The images are not on a disk of this machine.
        SetupError: Something could not be measured.
    """
    # Imported here: they bring pyspark.
    from glasses_spark.preflight.doctor.survey import list_files, survey

    data, image, training = config.data, config.image, config.training
    sample = survey(list_files(data.images, data.glob), None).sample
    if not sample:
        raise DataError(
            f"data.images: found no {data.glob} in {data.images} on this machine's disks, wanted "
            "some to measure with; name a local folder, such as a part of the images"
        )
    precisions, precision = _precisions(training.precision)
    cores = _cores(config)
    task = Task(
        images=data.images,
        labels=data.labels,
        glob=data.glob,
        limit=data.limit,
        sample=sample,
        height=image.height,
        width=image.width,
        batch_size=training.batch_size,
        optimizer=training.optimizer,
        loss=training.loss,
        metrics=training.metrics,
        workers=counts_of_workers(cores),
        cores=cores,
        precisions=precisions,
        master=config.spark.master,
        seed=config.run.seed,
        conf=dict(config.spark.conf),
    )
    measured, images = measure(task)
    load = Load(
        images=images,
        pixels=image.height * image.width,
        test=config.split.test,
        validation=config.split.validation,
        epochs=training.epochs,
        batch_size=training.batch_size,
    )
    found = forecasts(measured, load)
    mode = "synchronous" if training.mode == "synchronous" else "asynchronous"
    way = f"{mode}/{training.frequency}"
    advice = advise(found, way=way, precision=precision, memory=total_memory())
    return Report(advice, found, (way, precision), measured, load)


def _precisions(configured: str) -> tuple[list[str], str]:
    """Which to measure, and which the configuration comes to on this machine."""
    from glasses_spark.config.fields import AUTO
    from glasses_spark.training.precision import BFLOAT16, FLOAT32, has_native_bfloat16

    native = has_native_bfloat16()
    chosen = (BFLOAT16 if native else FLOAT32) if configured == AUTO else configured
    return [FLOAT32, *([BFLOAT16] if native or chosen == BFLOAT16 else [])], chosen


def _cores(config: Config) -> int:
    """The cores that the tasks of a local master can use."""
    master = config.spark.master or config.spark.conf.get("spark.master") or DEFAULT_MASTER
    if not is_local_master(master):
        raise ConfigError(
            f"spark.master is {master}: what is measured is this machine, and a run there is not "
            "forecast; give --set 'spark.master=local[*]' to see what one machine does"
        )
    cores = cores_here()
    return max(1, min(cores, slots_in_settings(master, config.spark.conf, cores=cores) or 1))


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
    rows = [_COLUMNS, *(_cells(one) for one in report.forecasts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row, one in zip(rows, [None, *report.forecasts], strict=True):
        mark = "*" if one and (one.way, one.precision) == report.configured else " "
        first, *others = (cell for cell in row)
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield f"{mark} {first.ljust(widths[0])}  {'  '.join(cells)}".rstrip()
    yield ""
    yield (
        "* as configured. total: the whole process, with every image decoded; stored: with the "
        "pixels of an earlier run."
    )
    yield f"Advice: {report.advice.answer}: {report.advice.reason}."


def _cells(one: Forecast) -> tuple[str, ...]:
    mode, _, frequency = one.way.partition("/")
    way = f"{_SAME.get(mode, mode)} / {frequency}" if frequency else "plain Keras, one process"
    return (
        way,
        str(one.workers or "-"),
        one.precision,
        f"{one.prepare_s:.1f} s",
        f"{one.epoch_s:.2f} s",
        f"{one.total_s:.0f} s",
        "-" if one.stored_s is None else f"{one.stored_s:.0f} s",
        f"{one.memory / 1e9:.1f} GB",
    )
