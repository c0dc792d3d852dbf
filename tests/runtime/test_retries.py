"""Tests of Python workers that are killed while they decode or score, in local mode."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.preprocessing.pixels import to_pixels
from glasses_spark.preprocessing.quarantine import Counts, observe_counts, quarantine_images
from glasses_spark.scoring.transformer import GlassesModel
from tests.faces import noise_png
from tests.training.tiny import separable, tiny_model


def kill_workers_once(
    marker: Path,
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Return a step of a query, in the first task of which all workers but its own are killed.

    The workers of the steps that follow have started: it is they who ask for its rows.
    """

    def step(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            if not marker.exists():
                marker.write_text(str(kill_other_workers()))

    return step


def kill_other_workers() -> int:
    """Kill the Python workers of this worker's Spark but itself; return their number."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    jvm = parents[os.getppid()]
    assert "java" in Path(f"/proc/{jvm}/cmdline").read_text()
    killed = 0
    for pid, daemon in parents.items():
        if parents.get(daemon) == jvm and pid != os.getpid():
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


def batches(frame: DataFrame, marker: Path) -> DataFrame:
    return frame.mapInArrow(kill_workers_once(marker), frame.schema)


def test_a_worker_killed_while_decoding_is_replaced_and_counts_are_right(
    spark: SparkSession, tmp_path: Path
) -> None:
    # More rows than a batch, in each of two tasks.
    rows = [
        (f"{n}.png", n, float(n % 2), noise_png(seed=n) if n % 50 else b"no image")
        for n in range(1, 301)
    ]
    frame = spark.createDataFrame(rows, "path STRING, id INT, label DOUBLE, content BINARY")
    decoded = to_pixels(batches(frame.repartition(2), tmp_path / "killed"), height=8, width=8)
    observed, read_counts = observe_counts(decoded)

    observed.write.parquet(str(tmp_path / "pixels"))

    assert int((tmp_path / "killed").read_text()) > 0
    assert read_counts() == Counts(300, 6, {})
    stored = spark.read.parquet(str(tmp_path / "pixels"))
    result = quarantine_images(stored, max_bad_fraction=0.1)
    assert result.good.count() == 294
    assert sorted(image.id or 0 for image in result.quarantine) == [50, 100, 150, 200, 250, 300]


def test_a_worker_killed_while_scoring_is_replaced(spark: SparkSession, tmp_path: Path) -> None:
    network = tiny_model()
    model = GlassesModel(keras_model_config=network.to_json(), weights=network.get_weights())
    x, _ = separable(300)
    frame = spark.createDataFrame(
        [(number, row.tolist()) for number, row in enumerate(x)],
        "number INT, features ARRAY<DOUBLE>",
    ).repartition(2)

    scored = model.transform(batches(frame, tmp_path / "killed")).collect()

    assert int((tmp_path / "killed").read_text()) > 0
    found = {row.number: row.prediction[0] for row in scored}
    expected = network.predict(x, verbose=0)[:, 0]
    np.testing.assert_allclose([found[n] for n in range(300)], expected, atol=1e-6)
