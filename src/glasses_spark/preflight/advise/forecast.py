"""Forecast the time and memory of a run from measurements on this machine.

A run is a sum of parts: start of Spark, listing, decoding, preparation of the fit, epochs,
scoring, writing. Computation is measured on this machine with the data of the run. The time
that Spark adds to each job is a constant, scaled by the time in which Spark starts here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from glasses_spark.config.training import (
    ASYNCHRONOUS,
    BATCH,
    BFLOAT16,
    EPOCH,
    FLOAT32,
    SYNCHRONOUS,
)
from glasses_spark.preflight.footprint import DRIVER_BYTES, WORKER_BYTES, memory_of_run
from glasses_spark.training.schedule import share

# The value of `Forecast.way` for plain Keras.
KERAS: Final = "keras"

# Seconds that Spark adds: the difference between runs of 2,400 images and the measured parts,
# on a machine where Spark started in REFERENCE_START_S. benchmarks/bench_advise.py compares
# forecasts with runs.
REFERENCE_START_S: Final = 4.4

# Plan the decoding, write the pixels and read them back; or only read them.
DECODING_JOB_S: Final = 3.1
STORED_JOB_S: Final = 2.5

# From the rows to the first step of the workers, without building and tracing the model.
FIT_JOB_S: Final = 2.2

# Plan the scoring and build the model in the workers.
SCORING_JOB_S: Final = 1.0

# Compute the curves, write page, predictions and model, and stop Spark.
WRITING_S: Final = 2.6

# Start Python and parse the command line.
PROCESS_S: Final = 0.5

# Speed of decoding in Spark's tasks relative to bare processes, from 500 to 5,000 images
# (benchmarks/results/preprocess.json).
DECODING_EFFICIENCY: Final = 0.92

# Synchronous workers wait for the slowest one: additional share of a step.
SPREAD: Final = 0.03

# A full `import keras` takes this many times as long as the measured import of TensorFlow.
KERAS_IMPORT: Final = 2.0

# Plain Keras stores a pixel as a float32 in its cache, and again in prefetched batches.
KERAS_BYTES_PER_PIXEL: Final = 5


@dataclass(frozen=True)
class Workload:
    """Size of a run.

    Attributes:
        images: Images that are used.
        pixels: Height times width of an image.
        test: Fraction of the images in the test set.
        validation: Fraction of the images in the validation set.
        epochs: Passes over the training set.
        batch_size: Images in a batch.
    """

    images: int
    pixels: int
    test: float
    validation: float
    epochs: int
    batch_size: int

    @property
    def training_rows(self) -> int:
        """Images in the training set."""
        return max(1, round(self.images * (1 - self.test - self.validation)))

    @property
    def validation_rows(self) -> int:
        """Images in the validation set."""
        return round(self.images * self.validation)


@dataclass(frozen=True)
class Steps:
    """Times of a worker while a certain number of workers train at the same time.

    Attributes:
        start_s: Seconds to build and trace the model before the first step.
        seconds: Seconds of a step of ``batch_size`` images, by precision.
        score_s: Seconds to score one image.
    """

    start_s: float
    seconds: Mapping[str, float]
    score_s: float


@dataclass(frozen=True)
class Measurements:
    """Measurements on this machine, in seconds.

    Attributes:
        cores: Cores that are used.
        spark_start_s: Start of Spark.
        list_s: Listing of images and labels.
        import_s: Import of TensorFlow.
        decode_s: Decoding of one image, on all cores.
        exchange_s: A push to the parameter server, including the returned weights.
        steps: Times of a worker, by the number of workers.
        keras_start_s: First step of plain Keras.
        keras_step_s: A later step of plain Keras, on all cores.
        keras_decode_s: Decoding of one image by TensorFlow, on all cores.
    """

    cores: int
    spark_start_s: float
    list_s: float
    import_s: float
    decode_s: float
    exchange_s: float
    steps: Mapping[int, Steps]
    keras_start_s: float
    keras_step_s: float
    keras_decode_s: float

    @classmethod
    def of_probes(
        cls, cores: int, compute: Mapping[str, Any], spark: Mapping[str, Any]
    ) -> Measurements:
        """Combine the results of the two probes.

        Args:
            cores: Cores that are used.
            compute: Result of ``measure_compute``.
            spark: Result of ``measure_spark``.
        """
        steps = {}
        for workers, times in compute["workers"].items():
            seconds = {name: times[name] for name in (FLOAT32, BFLOAT16) if name in times}
            steps[int(workers)] = Steps(times["start_s"], seconds, times["score_s"])
        keras = compute["keras"]
        return cls(
            cores=cores,
            spark_start_s=spark["start_s"],
            list_s=spark["list_s"],
            import_s=compute["import_s"],
            decode_s=compute["decode_s"],
            exchange_s=compute["exchange_s"],
            steps=steps,
            keras_start_s=keras["start_s"],
            keras_step_s=keras["step_s"],
            keras_decode_s=keras["decode_s"],
        )


@dataclass(frozen=True)
class Forecast:
    """Forecast of a run.

    Attributes:
        way: ``mode/frequency``, or ``keras``.
        workers: Number of workers; 0 for plain Keras.
        precision: ``float32`` or ``bfloat16``.
        prepare_s: Seconds to list and decode all images.
        epoch_s: Seconds of one epoch.
        total_s: Seconds of the whole process, with all images decoded.
        stored_s: The same with the pixels of an earlier run; None for plain Keras.
        memory: Peak memory in bytes.
    """

    way: str
    workers: int
    precision: str
    prepare_s: float
    epoch_s: float
    total_s: float
    stored_s: float | None
    memory: int


def forecast(
    measured: Measurements,
    load: Workload,
    *,
    mode: str,
    frequency: str,
    workers: int,
    precision: str,
) -> Forecast:
    """Forecast a run of this library.

    Args:
        measured: Measurements, which include this number of workers.
        load: Size of the run.
        mode: ``training.mode``.
        frequency: ``training.frequency``.
        workers: Workers that train at the same time.
        precision: ``float32`` or ``bfloat16``.
    """
    scale = measured.spark_start_s / REFERENCE_START_S
    steps = measured.steps[workers]
    epoch = _epoch_s(measured, load, mode, frequency, workers, precision)
    decoding = DECODING_JOB_S * scale + load.images * measured.decode_s / DECODING_EFFICIENCY
    fit = FIT_JOB_S * scale + steps.start_s + load.epochs * epoch
    score_s = measured.steps[max(measured.steps)].score_s
    score = SCORING_JOB_S * scale + load.images * score_s / max(measured.steps)
    if measured.cores // workers > 1:
        # Scoring uses one thread. After a fit with several threads a worker, it needs new
        # processes, which import TensorFlow again.
        score += measured.import_s
    rest = PROCESS_S + measured.spark_start_s + measured.list_s + fit + score + WRITING_S * scale
    return Forecast(
        way=f"{mode}/{frequency}",
        workers=workers,
        precision=precision,
        prepare_s=measured.list_s + decoding,
        epoch_s=epoch,
        total_s=rest + decoding,
        stored_s=rest + STORED_JOB_S * scale,
        memory=memory_of_run(workers),
    )


def forecast_keras(measured: Measurements, load: Workload) -> Forecast:
    """Forecast plain Keras in one process, with `image_dataset_from_directory`.

    Args:
        measured: Measurements.
        load: Size of the run.
    """
    step = measured.keras_step_s / load.batch_size
    epoch = load.training_rows * step + load.validation_rows * step / 3
    prepare = load.images * measured.keras_decode_s
    evaluation = (load.images - load.training_rows) * step / 3
    start = KERAS_IMPORT * measured.import_s + measured.keras_start_s
    total = start + prepare + load.epochs * epoch + evaluation
    pixels = load.images * load.pixels * KERAS_BYTES_PER_PIXEL
    return Forecast(
        way=KERAS,
        workers=0,
        precision=FLOAT32,
        prepare_s=prepare,
        epoch_s=epoch,
        total_s=PROCESS_S + total,
        stored_s=None,
        memory=DRIVER_BYTES + WORKER_BYTES + pixels,
    )


def forecast_all(measured: Measurements, load: Workload) -> list[Forecast]:
    """Forecast all modes, frequencies, numbers of workers and precisions, and plain Keras last.

    Hogwild mode is left out: it takes the same time as asynchronous mode.

    Args:
        measured: Measurements.
        load: Size of the run.
    """
    precisions = next(iter(measured.steps.values())).seconds
    spark_forecasts = [
        forecast(
            measured, load, mode=mode, frequency=frequency, workers=workers, precision=precision
        )
        for mode in (SYNCHRONOUS, ASYNCHRONOUS)
        for frequency in (BATCH, EPOCH)
        for workers in sorted(measured.steps)
        for precision in precisions
    ]
    return [*spark_forecasts, forecast_keras(measured, load)]


def _epoch_s(
    measured: Measurements, load: Workload, mode: str, frequency: str, workers: int, precision: str
) -> float:
    """Return the seconds of an epoch of the worker with the most rows."""
    rows = max(share(load.training_rows, workers))
    step, exchange = measured.steps[workers].seconds[precision], measured.exchange_s
    synchronous = mode == SYNCHRONOUS
    # Synchronous pushes arrive at the same time and queue. Others find the server idle, until
    # it is saturated.
    pushes = workers if synchronous else 1
    if synchronous and workers > 1:
        step *= 1 + SPREAD
    computing = rows * step / load.batch_size
    validating = load.validation_rows / workers * measured.steps[workers].score_s
    if frequency != BATCH:
        return computing + pushes * exchange + validating
    # Asynchronous workers divide each batch among them.
    count = -(-rows // (load.batch_size if synchronous else -(-load.batch_size // workers)))
    return max(computing + count * pushes * exchange, count * workers * exchange) + validating
