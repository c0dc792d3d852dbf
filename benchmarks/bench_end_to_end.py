"""Whole jobs, from the start of a process to its metrics, on photo-like PNGs of 1024 x 1024.

    python benchmarks/bench_end_to_end.py [--images 300 2000] [--repeats 2] [--classic]

Each contender is a process of its own that reads the files, trains the CNN of the
published experiment for ten epochs of batches of 128, and prints the accuracy on the
images held back:

- glasses_spark: `glasses-spark train`, with an empty pixel store, in float32 and bfloat16;
- glasses_spark, store filled: the same again;
- keras: `image_dataset_from_directory`, decoded once and cached, and `fit`, in one process;
- classic (--classic, on the smallest count only; minutes): Elephas as shipped, the way of
  most notebooks: a UDF a row, vectors of doubles, `orderBy(rand)`, everything cached.

More images than there are pictures are hard links to them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from environment import describe, write_result
from pictures import photo_like_png

EPOCHS, BATCH, SIDE = 10, 128, 128
PICTURES = 300
KERAS = "keras, one process"
CLASSIC = "classic notebook, Elephas as shipped"


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        {"keras": _keras, "classic": _classic}[arguments.child](Path(arguments.folder))
        return
    table: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        _draw(pictures, min(PICTURES, max(arguments.images)))
        for images in arguments.images:
            place = Path(folder, str(images))
            _lay_out(pictures, place, images)
            times: dict[str, list[float]] = {}
            for _ in range(arguments.repeats):
                for name, command in _contenders(place).items():
                    if not name.endswith("store filled"):
                        shutil.rmtree(place / "store", ignore_errors=True)
                    times.setdefault(name, []).append(_timed(command, place))
                    print(images, name, round(times[name][-1], 1), flush=True)
            if arguments.classic and images == min(arguments.images):
                times[CLASSIC] = [_timed(_child("classic", place), place)]
                print(images, CLASSIC, times[CLASSIC], flush=True)
            table[str(images)] = _row(times)
    result = describe("end_to_end", {**vars(arguments), "epochs": EPOCHS}) | {"table": table}
    print(table, write_result("end_to_end", result))


def _contenders(place: Path) -> dict[str, list[str]]:
    ours = [
        *(str(Path(sys.executable).with_name("glasses-spark")), "train"),
        *(
            "--set",
            f"data.images={place / 'faces'}",
            "--set",
            f"data.labels={place / 'labels.csv'}",
        ),
        *("--set", f"run.dir={place / 'run'}", "--set", f"store.dir={place / 'store'}"),
        *("--set", f"training.epochs={EPOCHS}"),
    ]
    bfloat16 = [*ours, "--set", "training.precision=bfloat16"]
    return {
        "glasses_spark": ours,
        "glasses_spark, store filled": ours,
        "glasses_spark, bfloat16": bfloat16,
        KERAS: _child("keras", place),
    }


def _child(name: str, place: Path) -> list[str]:
    return [sys.executable, __file__, "--child", name, "--folder", str(place)]


def _timed(command: list[str], place: Path) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    seconds = time.perf_counter() - start
    if done.returncode:
        print(f"{command[:2]} failed after {seconds:.0f} s: {done.stderr[-600:]}", file=sys.stderr)
    return seconds


def _row(times: dict[str, list[float]]) -> dict[str, Any]:
    keras = statistics.median(times[KERAS])
    return {
        name: {
            "seconds": round(statistics.median(found), 1),
            "times_as_long_as_keras": round(statistics.median(found) / keras, 2),
        }
        for name, found in times.items()
    }


def _keras(place: Path) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import keras

    from glasses_spark import build_cnn

    def part(name: str) -> Any:
        rows = keras.utils.image_dataset_from_directory(
            str(place / "classes"),
            color_mode="grayscale",
            image_size=(SIDE, SIDE),
            batch_size=BATCH,
            validation_split=0.2,
            subset=name,
            seed=0,
            verbose=False,
        )
        return rows.map(lambda x, y: (x / 255.0, y)).cache()

    model = build_cnn()
    model.fit(part("training"), epochs=EPOCHS, verbose=0)
    print(model.evaluate(part("validation"), verbose=0))


def _classic(place: Path) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import cv2
    import keras
    import numpy as np
    from elephas.ml_model import ElephasEstimator
    from pyspark.ml.linalg import Vectors, VectorUDT
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    from glasses_spark import build_cnn

    spark = (
        SparkSession.builder.master("local[*]").config("spark.driver.memory", "8g").getOrCreate()
    )

    @F.udf(VectorUDT())
    def features(content: bytes) -> Any:
        grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        return Vectors.dense(cv2.resize(grey, (SIDE, SIDE)).ravel() / 255.0)

    labels = spark.read.csv(str(place / "labels.csv"), header=True, inferSchema=True)
    images = spark.read.format("binaryFile").load(f"{place / 'faces'}/*.png")
    number = F.regexp_extract("path", r"(\d+)\.png", 1).cast("int")
    rows = images.withColumn("index", number).join(labels, "index").orderBy(F.rand(0)).cache()
    data = rows.withColumn("features", features("content")).cache()
    train, test = data.randomSplit([0.8, 0.2], seed=0)
    cnn = build_cnn()
    flat = keras.Sequential([keras.Input((SIDE * SIDE,)), keras.layers.Reshape((SIDE, SIDE, 1))])
    for layer in cnn.layers:
        flat.add(layer)
    fitted = ElephasEstimator(
        keras_model_config=flat.to_json(),
        optimizer_config=keras.optimizers.serialize(cnn.optimizer),
        loss="binary_crossentropy",
        metrics=["accuracy"],
        categorical=False,
        epochs=EPOCHS,
        batch_size=BATCH,
        num_workers=2,
        validation_split=0.0,
        verbose=0,
    ).fit(train)
    scored = fitted.transform(test)
    print(scored.where((F.col("prediction")[0] >= 0.5) == (F.col("label") == 1.0)).count())


def _draw(folder: Path, count: int) -> None:
    folder.mkdir()
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw_one, [(folder, number) for number in range(count)], chunksize=8))


def _draw_one(task: tuple[Path, int]) -> None:
    folder, number = task
    (folder / f"{number}.png").write_bytes(photo_like_png(1024, number))


def _lay_out(pictures: Path, place: Path, images: int) -> None:
    """The same files for Spark, by number, and for Keras, by class."""
    files = sorted(pictures.iterdir())
    for name in ("faces", "classes/0", "classes/1"):
        (place / name).mkdir(parents=True)
    lines = ["index,label"]
    for number in range(images):
        source = files[number % len(files)]
        os.link(source, place / "faces" / f"face-{number}.png")
        os.link(source, place / "classes" / str(number % 2) / f"face-{number}.png")
        lines.append(f"{number},{number % 2}.0")
    (place / "labels.csv").write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[300, 2000])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--classic", action="store_true", help="also the classic way, once")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
