"""The job of bench_end_to_end.py with other libraries, from the files to test metrics.

    python benchmarks/alternatives.py {keras,torch,torch-cached,distributor,classic} FOLDER

`bench_end_to_end.py` creates the folder. All alternatives read the same PNG files and train
the CNN of the published experiment for the same number of epochs and rows per step.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

EPOCHS, BATCH, SIDE = 10, 128, 128
# The start of the line with the test metrics, as in the output of `glasses-spark train`.
ANSWER = "Test:"
WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=ALTERNATIVES)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    ALTERNATIVES[arguments.name](arguments.folder)


def run_keras(folder: Path) -> None:
    """Train with `fit` in one process, on files that are decoded once and cached."""
    import keras

    from glasses_spark import build_cnn

    def part(name: str) -> Any:
        rows = keras.utils.image_dataset_from_directory(
            str(folder / "classes"),
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
    _print_metrics(model.evaluate(part("validation"), verbose=0))


def run_torch(folder: Path, *, cached: bool = False) -> None:
    """Train with PyTorch, on files that two processes of a `DataLoader` decode in each epoch.

    Args:
        folder: Folder with the files by class.
        cached: Whether the pictures are decoded once and kept, and training computes in bfloat16.
    """
    import torch
    from torch import nn
    from torchvision import datasets, transforms

    torch.manual_seed(0)
    prepare = transforms.Compose(
        [transforms.Grayscale(), transforms.Resize((SIDE, SIDE)), transforms.ToTensor()]
    )
    pictures: Any = datasets.ImageFolder(str(folder / "classes"), prepare)
    test_rows = len(pictures) // 5
    parts = torch.utils.data.random_split(pictures, [len(pictures) - test_rows, test_rows])

    def loader(rows: Any, *, workers: int, shuffle: bool) -> Any:
        return torch.utils.data.DataLoader(
            rows, BATCH, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0
        )

    if cached:
        decoded = [list(loader(part, workers=WORKERS, shuffle=False)) for part in parts]
        parts = [
            torch.utils.data.TensorDataset(*map(torch.cat, zip(*batches, strict=True)))
            for batches in decoded
        ]
    workers = 0 if cached else WORKERS
    training = loader(parts[0], workers=workers, shuffle=True)
    test = loader(parts[1], workers=workers, shuffle=False)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.LazyLinear(32), nn.ReLU()),
        *(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1)),
    )
    model(torch.zeros(1, 1, SIDE, SIDE))  # gives the lazy layer its size
    optimizer, loss = torch.optim.Adam(model.parameters()), nn.BCEWithLogitsLoss()

    def logits(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=cached):
            return model(x)[:, 0].float()

    for _ in range(EPOCHS):
        for x, y in training:
            optimizer.zero_grad()
            loss(logits(x), y.float()).backward()
            optimizer.step()
    with torch.no_grad():
        right = sum(int(((logits(x) >= 0) == (y == 1)).sum()) for x, y in test)
    _print_metrics({"rows": test_rows, "accuracy": right / test_rows})


def run_torch_cached(folder: Path) -> None:
    """Train with PyTorch in bfloat16, on files that are decoded once."""
    run_torch(folder, cached=True)


def run_distributor(folder: Path) -> None:
    """Train with spark-tensorflow-distributor.

    Spark decodes with OpenCV and writes one Parquet file per worker. Each step uses `BATCH`
    rows, split equally between the workers. Keras 3's `fit` fails under the distributor, so
    this has a training loop of its own.
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

    labels = spark.read.csv(
        str(folder / "labels.csv"), header=True, schema="index INT, label FLOAT"
    )
    images = spark.read.format("binaryFile").load(f"{folder / 'faces'}/*.png")
    number = F.regexp_extract("path", r"(\d+)\.png", 1).cast("int")
    decoded = images.select(number.alias("index"), "content").mapInPandas(
        decode, "index INT, pixels BINARY"
    )
    rows = decoded.join(F.broadcast(labels), "index")
    # Decoded once: the write itself splits the rows into training and test set.
    in_test_set = (F.hash("index") % 5 == 0).alias("in_test_set")
    parquet = folder / "parquet"
    shutil.rmtree(parquet, ignore_errors=True)
    rows.select("pixels", "label", in_test_set).repartition(WORKERS).write.partitionBy(
        "in_test_set"
    ).parquet(str(parquet))
    runner = MirroredStrategyRunner(num_slots=WORKERS, use_gpu=False)
    _print_metrics(runner.run(train_mirrored, folder=str(parquet)))


def train_mirrored(folder: str) -> dict[str, float]:
    """Train on one worker of `run_distributor`. The first worker returns the test metrics."""
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
    files = sorted(Path(folder, "in_test_set=false").glob("*.parquet"))
    share = BATCH // len(files)
    # All workers need the same number of steps: those with fewer rows repeat some.
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
    x, y = read(sorted(Path(folder, "in_test_set=true").glob("*.parquet")))
    score = tf.function(lambda x: model(tf.cast(x, tf.float32) / 255.0, training=False))
    probabilities = np.concatenate([score(x[n : n + 256]) for n in range(0, len(x), 256)])
    return {"rows": len(x), "accuracy": float(((probabilities >= 0.5) == (y == 1)).mean())}


def run_classic(folder: Path) -> None:
    """Train with Elephas as shipped, as in most notebooks.

    Uses a UDF for each row, vectors of doubles, `orderBy(rand)`, everything cached.
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

    labels = spark.read.csv(str(folder / "labels.csv"), header=True, inferSchema=True)
    images = spark.read.format("binaryFile").load(f"{folder / 'faces'}/*.png")
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
    _print_metrics(scored.where((F.col("prediction")[0] >= 0.5) == (F.col("label") == 1.0)).count())


def _print_metrics(metrics: Any) -> None:
    # Flushed, because output to a pipe is otherwise buffered until the end of the process.
    print(f"{ANSWER} {metrics}", flush=True)


ALTERNATIVES = {
    "keras": run_keras,
    "torch": run_torch,
    "torch-cached": run_torch_cached,
    "distributor": run_distributor,
    "classic": run_classic,
}

if __name__ == "__main__":
    main()
