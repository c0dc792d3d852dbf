"""Test accuracy of plain Keras and of each mode and frequency, on drawn faces.

    python benchmarks/bench_accuracy.py [--epochs 10] [--seeds 3] [--workers 2]
    python benchmarks/bench_accuracy.py --seeds 5 --workers 4 --result accuracy_stale_4 \
        --ways asynchronous/batch asynchronous/batch/scaled_rate asynchronous/batch/whole

Draws the faces of labels.csv, decodes them, and trains the CNN of the published experiment
on the training set, with batches of 128: with plain Keras and in each way, once per seed. The
test set is evaluated after each epoch and with the final weights. ``scaled_rate`` is the other
``asynchronous_rule``, ``whole`` is ``staleness_aware=False``, and with ``slow`` one worker runs
only a quarter of the time. ``--hard`` draws 5,000 blurred and
noisy faces, ``--slots`` lets fewer tasks host the workers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from environment import describe, write_result
from glasses_spark import Config, GlassesPipeline, build_cnn, build_estimator
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.preprocessing.split import TEST, split_column
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session
from hard_faces import draw_hard_faces
from slow_worker import slow_worker

ROOT = Path(__file__).parent.parent
BATCH = 128
SIDE = 128
IN_TEST_SET = "in_test_set"
WAYS = [
    f"{mode}/{frequency}"
    for mode in ("synchronous", "asynchronous", "hogwild")
    for frequency in ("batch", "epoch")
] + ["synchronous/batch/bfloat16", "asynchronous/batch/bfloat16"]


def main() -> None:
    arguments = _arguments()
    with (
        tempfile.TemporaryDirectory() as folder,
        spark_session(master=f"local[{arguments.slots or arguments.workers}]") as spark,
    ):
        labels = ROOT / "labels.csv"
        if arguments.hard:
            labels = draw_hard_faces(Path(folder))
        else:
            draw_faces(labels, Path(folder))
        overrides = [f"data.images={folder}", f"data.labels={labels}", "store.dir="]
        config = Config.load(overrides=overrides)
        pipeline = GlassesPipeline(config)
        pixels = pipeline.preprocess(pipeline.load(spark)).good
        part = split_column(test=config.split.test, seed=config.run.seed)
        faces = pixels.select("pixels", "label", (part == TEST).alias(IN_TEST_SET)).cache()
        rows = faces.collect()
        x = np.stack([np.frombuffer(row.pixels, np.uint8) for row in rows])
        x = x.reshape(-1, SIDE, SIDE, 1).astype(np.float32) / 255
        y = np.array([row.label for row in rows])
        test = np.array([row[IN_TEST_SET] for row in rows])
        rounds: dict[str, list[dict[str, Any]]] = {}
        for seed in range(arguments.seeds):
            contenders = {"keras": lambda seed=seed: _fit_keras(x, y, test, seed, arguments.epochs)}
            for way in arguments.ways:
                contenders[way] = lambda way=way, seed=seed: _fit_ours(faces, way, seed, arguments)
            for name, fit in contenders.items():
                began = time.perf_counter()
                model, curve = fit()
                result = {
                    "seed": seed,
                    **_figures(model, x[test], y[test]),
                    "curve": curve,
                    "seconds": round(time.perf_counter() - began, 2),
                }
                rounds.setdefault(name, []).append(result)
                print(
                    seed,
                    name,
                    result["accuracy"],
                    f"{result['log_loss']:.4f}",
                    result["seconds"],
                    flush=True,
                )
    _report(arguments, rounds, {"train": int((~test).sum()), "test": int(test.sum())})


def _fit_keras(x: Any, y: Any, test: Any, seed: int, epochs: int) -> tuple[Any, list[float]]:
    import_keras().utils.set_random_seed(seed)
    model = build_cnn(seed=seed)
    history = model.fit(
        x[~test],
        y[~test],
        batch_size=BATCH,
        epochs=epochs,
        validation_data=(x[test], y[test]),
        verbose=0,
    )
    return model, history.history["val_accuracy"]


def _fit_ours(faces: DataFrame, way: str, seed: int, arguments: Any) -> tuple[Any, list[float]]:
    mode, frequency, *options = way.split("/")
    estimator = build_estimator(
        build_cnn(seed=seed),
        arguments.epochs,
        BATCH,
        categorical=False,
        num_workers=arguments.workers,
        featuresCol="pixels",
        validationIndicatorCol=IN_TEST_SET,
        mode=mode,
        frequency=frequency,
        precision="bfloat16" if "bfloat16" in options else "float32",
        staleness_aware="whole" not in options,
        asynchronous_rule="scaled_rate" if "scaled_rate" in options else "shared_batch",
        seed=seed,
    )
    with slow_worker(arguments.workers - 1) if "slow" in options else nullcontext():
        fitted = estimator.fit(faces.withColumn("label", F.col("label").cast("double")))
    return fitted.keras_model(), [epoch["val_accuracy"] for epoch in fitted.history]


def _figures(model: Any, x: Any, y: Any) -> dict[str, float]:
    p = np.clip(model.predict(x, verbose=0)[:, 0].astype(np.float64), 1e-7, 1 - 1e-7)
    log_loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    return {"accuracy": float(((p >= 0.5) == y).mean()), "log_loss": float(log_loss)}


def _report(arguments: Any, rounds: dict[str, Any], rows: dict[str, int]) -> None:
    table = {
        name: {
            "median_accuracy": statistics.median(fit["accuracy"] for fit in fits),
            "accuracies": [round(fit["accuracy"], 4) for fit in fits],
            "median_log_loss": round(statistics.median(fit["log_loss"] for fit in fits), 5),
            "log_losses": [round(fit["log_loss"], 5) for fit in fits],
        }
        for name, fits in rounds.items()
    }
    keras_accuracy = table["keras"]["median_accuracy"]
    for row in table.values():
        row["points_above_keras"] = round(100 * (row["median_accuracy"] - keras_accuracy), 2)
        row["median_accuracy"] = round(row["median_accuracy"], 4)
    path = write_result(
        arguments.result,
        describe("accuracy", vars(arguments) | {"batch_size": BATCH, "rows": rows})
        | {"table": table, "rounds": rounds},
    )
    print(json.dumps(table, indent=1))
    print(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slots", type=int, help="task slots; one for each worker by default")
    parser.add_argument("--hard", action="store_true", help="blurred and noisy faces")
    parser.add_argument("--ways", nargs="+", default=WAYS, metavar="MODE/FREQUENCY[/OPTION]")
    parser.add_argument("--result", default="accuracy", help="name of the result file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
