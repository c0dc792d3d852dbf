"""Forecast: from what was measured here to what a run will take; arithmetic alone.

A run is a sum: the start of Spark, the listing, the decoding, the epochs and what comes
before the first, the scoring, the writing. What computes is measured on this machine
with this data; what Spark adds to each of its jobs was measured once, and is scaled by
how fast Spark starts here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from glasses_spark.preflight.footprint import DRIVER_BYTES, WORKER_BYTES, memory_of_run
from glasses_spark.training.schedule import BATCH, SYNCHRONOUS, share

# What Spark adds, in seconds: what runs of 2,400 faces took beyond what was measured of their
# parts, on a machine where Spark started in the first of these. benchmarks/bench_advise.py
# holds forecasts against runs.
REFERENCE_START_S: Final = 4.4

# Planning a decoding, writing the pixels and reading them back; then only reading.
DECODING_JOB_S: Final = 3.1
STORED_JOB_S: Final = 2.5

# From the rows to the first step of the workers, less building and tracing.
FIT_JOB_S: Final = 2.2

# Of scoring: planning, and building the model in the workers.
SCORING_JOB_S: Final = 1.0

# Curves, page, predictions and model, and the end of Spark.
WRITING_S: Final = 2.6

# Python and the command line, before Spark is looked for.
PROCESS_S: Final = 0.5

# Decoding in Spark's tasks as a part of the speed of bare processes, from 500 to 5,000
# images (benchmarks/results/preprocess.json).
DECODING_EFFICIENCY: Final = 0.92

# Synchronous workers wait for the slowest: by so much of a step where there are several.
SPREAD: Final = 0.03

# Within so much of each other two ways take the same time, for all that a forecast knows.
ALIKE: Final = 0.05

# A whole `import keras` takes so many times as long as the bare one that is measured.
KERAS_IMPORT: Final = 2.0

# Plain Keras keeps a pixel as a float32, once in its cache and once in batches ahead.
KERAS_BYTES_A_PIXEL: Final = 5


@dataclass(frozen=True)
class Load:
    """What there is to do.

    Attributes:
        images: Images that are used.
        pixels: Height times width of each.
        test: Part that is held back for the test.
        validation: Part that is held back for the validation.
        epochs: Passes over the rest.
        batch_size: Images in one step of one worker.
    """

    images: int
    pixels: int
    test: float
    validation: float
    epochs: int
    batch_size: int

    @property
    def training_rows(self) -> int:
        """Images that are trained on."""
        return max(1, round(self.images * (1 - self.test - self.validation)))

    @property
    def validation_rows(self) -> int:
        """Images that are looked at after each epoch."""
        return round(self.images * self.validation)


@dataclass(frozen=True)
class Steps:
    """Steps of one count of workers, all at work.

    Attributes:
        start_s: Building and tracing, before the first step.
        seconds: Of a step of ``batch_size`` images, by precision.
        score_s: Of one image without training, in one worker.
    """

    start_s: float
    seconds: Mapping[str, float]
    score_s: float


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine.

    Attributes:
        cores: Cores that share the work.
        spark_start_s: Start of Spark, with TensorFlow imported beside it.
        list_s: Listing of images and labels.
        import_s: Import of TensorFlow alone.
        decode_s: Of one image, with all cores at work.
        exchange_s: A push to the parameter server and the weights that come back.
        steps: By count of workers.
        keras_start_s: Plain Keras before its second step.
        keras_step_s: A step of it, on all cores.
        keras_decode_s: Of one image, in TensorFlow on all cores.
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
    ) -> Measured:
        """Take the figures of the two probes."""
        steps = {}
        for workers, found in compute["workers"].items():
            seconds = {name: found[name] for name in ("float32", "bfloat16") if name in found}
            steps[int(workers)] = Steps(found["start_s"], seconds, found["score_s"])
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
    """What a run will take.

    Attributes:
        way: ``mode/frequency``, or ``keras``.
        workers: How many train; 0 for plain Keras.
        precision: In which they compute.
        prepare_s: Listing and decoding of all images.
        epoch_s: One epoch.
        total_s: The whole process, with all images decoded.
        stored_s: The same where the pixel store has them; None for plain Keras.
        memory: Bytes, at the peak.
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
    measured: Measured, load: Load, *, mode: str, frequency: str, workers: int, precision: str
) -> Forecast:
    """Predict a run of this library.

    Args:
        measured: What was measured here, for this count of workers too.
        load: What there is to do.
        mode: ``training.mode``.
        frequency: ``training.frequency``.
        workers: How many train at the same time.
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
        # Scoring is done on one thread, in processes of their own where the training was not.
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


def forecast_keras(measured: Measured, load: Load) -> Forecast:
    """Predict plain Keras in one process, reading with `image_dataset_from_directory`."""
    step = measured.keras_step_s / load.batch_size
    epoch = load.training_rows * step + load.validation_rows * step / 3
    prepare = load.images * measured.keras_decode_s
    judging = (load.images - load.training_rows) * step / 3
    start = KERAS_IMPORT * measured.import_s + measured.keras_start_s
    total = start + prepare + load.epochs * epoch + judging
    pixels = load.images * load.pixels * KERAS_BYTES_A_PIXEL
    return Forecast(
        way="keras",
        workers=0,
        precision="float32",
        prepare_s=prepare,
        epoch_s=epoch,
        total_s=PROCESS_S + total,
        stored_s=None,
        memory=DRIVER_BYTES + WORKER_BYTES + pixels,
    )


def forecasts(measured: Measured, load: Load) -> list[Forecast]:
    """Predict every way of training, plain Keras last.

    Hogwild is asynchronous training without a lock, and takes the same time.
    """
    precisions = next(iter(measured.steps.values())).seconds
    found = [
        forecast(
            measured, load, mode=mode, frequency=frequency, workers=workers, precision=precision
        )
        for mode in (SYNCHRONOUS, "asynchronous")
        for frequency in (BATCH, "epoch")
        for workers in sorted(measured.steps)
        for precision in precisions
    ]
    return [*found, forecast_keras(measured, load)]


@dataclass(frozen=True)
class Advice:
    """What to do, and why.

    Attributes:
        answer: ``no Spark``, ``one worker`` or ``N workers``.
        reason: One sentence with the figures.
        best: The forecast of what is advised.
    """

    answer: str
    reason: str
    best: Forecast


def advise(found: Sequence[Forecast], *, way: str, precision: str, memory: int) -> Advice:
    """Choose among forecasts of one way of training and plain Keras.

    How images and weights are exchanged is a matter of accuracy, too, and so is left as
    it is configured; only the count of workers is chosen, and whether Spark is worth it.

    Args:
        found: As ``forecasts`` gives them.
        way: ``mode/frequency`` of the configuration.
        precision: That of the configuration.
        memory: Bytes that this machine has.
    """
    ours = [one for one in found if one.way == way and one.precision == precision]
    fitting = [one for one in ours if one.memory <= memory] or ours[:1]
    fastest = min(fitting, key=lambda one: one.total_s)
    keras = next(one for one in found if one.way == "keras")
    if keras.memory <= memory and keras.total_s < (1 - ALIKE) * fastest.total_s:
        return Advice(
            "no Spark",
            f"plain Keras in one process takes {keras.total_s:.0f} s, where the fastest run here "
            f"takes {fastest.total_s:.0f} s ({fastest.workers} workers), much of it Spark's own "
            "start and jobs",
            keras,
        )
    # Fewer workers see more batches each and wait less: the first that is as good.
    best = next(one for one in fitting if one.total_s <= (1 + ALIKE) * fastest.total_s)
    other = f"plain Keras in one process takes {keras.total_s:.0f} s" + (
        f" and {keras.memory / 1e9:.0f} GB of memory" if keras.memory > memory else ""
    )
    if best.workers == 1:
        most = max(fitting, key=lambda one: one.workers)
        return Advice(
            "one worker",
            f"it takes {best.total_s:.0f} s on all cores, {most.workers} of them "
            f"{most.total_s:.0f} s; {other}",
            best,
        )
    one = fitting[0]
    return Advice(
        f"{best.workers} workers",
        f"they take {best.total_s:.0f} s, one of them {one.total_s:.0f} s; {other}",
        best,
    )


def _epoch_s(
    measured: Measured, load: Load, mode: str, frequency: str, workers: int, precision: str
) -> float:
    """Seconds of the worker that has most rows."""
    rows = max(share(load.training_rows, workers))
    step, exchange = measured.steps[workers].seconds[precision], measured.exchange_s
    synchronous = mode == SYNCHRONOUS
    # Synchronous pushes come all at once; others find the server free, until it is never.
    pushes = workers if synchronous else 1
    if synchronous and workers > 1:
        step *= 1 + SPREAD
    computing = rows * step / load.batch_size
    validating = load.validation_rows / workers * measured.steps[workers].score_s
    if frequency != BATCH:
        return computing + pushes * exchange + validating
    count = -(-rows // load.batch_size)
    return max(computing + count * pushes * exchange, count * workers * exchange) + validating
