"""Alternatives: the same job as others do it, from the files to figures on held-back rows.

    python benchmarks/alternatives.py {keras,distributor,classic} FOLDER

The folder is laid out as `bench_end_to_end.py` does it. Each reads the same PNG
files and trains the CNN of the published experiment for as many epochs, in steps
of as many rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

EPOCHS, BATCH, SIDE = 10, 128, 128
# How the line with the figures on held-back rows begins; as that of our own does.
ANSWER = "Test:"
WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=ALTERNATIVES)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    ALTERNATIVES[arguments.name](arguments.folder)


def run_keras(place: Path) -> None:
    """One process: files decoded once and cached, and `fit`."""
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
    _tell(model.evaluate(part("validation"), verbose=0))


def run_distributor(place: Path) -> None:
    """spark-tensorflow-distributor with a loop of its own: Keras 3's `fit` fails under it.

    Spark decodes with OpenCV into one Parquet file a worker. Each step takes
    `BATCH` rows, of each worker an equal part.
    """
    import cv2
    import numpy as np
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F
    from spark_tensorflow_distributor import MirroredStrategyRunner

    spark = (
        SparkSession.builder.master(f"local[{WORKERS}]")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", 64)
        .config("spark.ui.enabled", False)
        .getOrCreate()
    )

    def decode(frames: Any) -> Any:
        for frame in frames:
            pixels = []
            for content in frame["content"]:
                grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
                pixels.append(cv2.resize(grey, (SIDE, SIDE)).tobytes())
            yield frame[["index"]].assign(pixels=pixels)

    labels = spark.read.csv(str(place / "labels.csv"), header=True, schema="index INT, label FLOAT")
    images = spark.read.format("binaryFile").load(f"{place / 'faces'}/*.png")
    number = F.regexp_extract("path", r"(\d+)\.png", 1).cast("int")
    decoded = images.select(number.alias("index"), "content").mapInPandas(
        decode, "index INT, pixels BINARY"
    )
    rows = decoded.join(F.broadcast(labels), "index")
    # Decoded once, and parted by number as it is written.
    held_back = (F.hash("index") % 5 == 0).alias("held_back")
    folder = place / "parquet"
    shutil.rmtree(folder, ignore_errors=True)
    rows.select("pixels", "label", held_back).repartition(WORKERS).write.partitionBy(
        "held_back"
    ).parquet(str(folder))
    runner = MirroredStrategyRunner(num_slots=WORKERS, use_gpu=False)
    _tell(runner.run(train_mirrored, folder=str(folder)))


def train_mirrored(folder: str) -> dict[str, float]:
    """What each worker of `run_distributor` runs; the first one's result goes to the driver."""
    import numpy as np
    import pyarrow.parquet as pq
    import tensorflow as tf

    from glasses_spark import build_cnn

    def read(paths: list[Path]) -> tuple[Any, Any]:
        table = pq.ParquetFile(paths[0]).read() if len(paths) == 1 else pq.read_table(paths)
        flat = np.frombuffer(b"".join(table["pixels"].to_pylist()), np.uint8)
        x = flat.reshape(-1, SIDE, SIDE, 1)
        return x, table["label"].to_numpy().reshape(-1, 1).astype(np.float32)

    index = int(json.loads(os.environ["TF_CONFIG"])["task"]["index"])
    files = sorted(Path(folder, "held_back=false").glob("*.parquet"))
    share = BATCH // len(files)
    # All must take the same number of steps: whoever has fewer rows begins again.
    steps = -(-max(pq.read_metadata(path).num_rows for path in files) // share)
    x, y = read([files[index]])
    strategy = tf.distribute.get_strategy()
    model = build_cnn()
    model.optimizer.build(model.trainable_variables)

    def rows(_: Any) -> Any:
        data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=index)
        data = data.batch(share).repeat()
        return data.map(lambda x, y: (tf.cast(x, tf.float32) / 255.0, y)).prefetch(2)

    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.keras.losses.binary_crossentropy(y, model(x, training=True)))
            loss /= BATCH
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    @tf.function
    def train_step(batches: Any) -> None:
        strategy.run(step, args=next(batches))

    batches = iter(strategy.distribute_datasets_from_function(rows))
    for _ in range(EPOCHS * steps):
        train_step(batches)
    if index:
        return {}
    x, y = read(sorted(Path(folder, "held_back=true").glob("*.parquet")))
    score = tf.function(lambda x: model(tf.cast(x, tf.float32) / 255.0, training=False))
    found = np.concatenate([score(x[n : n + 256]) for n in range(0, len(x), 256)])
    return {"rows": len(x), "accuracy": float(((found >= 0.5) == (y == 1)).mean())}


def run_classic(place: Path) -> None:
    """Elephas as shipped, the way of most notebooks.

    A UDF a row, vectors of doubles, `orderBy(rand)`, everything cached.
    """
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
        num_workers=WORKERS,
        validation_split=0.0,
        verbose=0,
    ).fit(train)
    scored = fitted.transform(test)
    _tell(scored.where((F.col("prediction")[0] >= 0.5) == (F.col("label") == 1.0)).count())


def _tell(metrics: Any) -> None:
    # At once: what is written to a pipe may otherwise wait for the end of the process.
    print(f"{ANSWER} {metrics}", flush=True)


ALTERNATIVES = {"keras": run_keras, "distributor": run_distributor, "classic": run_classic}

if __name__ == "__main__":
    main()
