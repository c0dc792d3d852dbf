"""Rows per second of three ways to score: our pandas UDF, predict_batch_udf and mapInArrow.

    python benchmarks/bench_udf.py [--rows 20000] [--repeats 3] [--workers 2] [--model dense]

All use the same predictor, in Python workers with the same environment, in turns. The CNN takes
pixels (binary, 16 KB a row), the dense model vectors of 100 numbers. The first round, in which
functions are traced and workers start, is left out. The ratios are to `GlassesModel.transform`,
which also checks each row for null, NaN, infinity and length; "with classes" has the columns of
Spark ML.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.functions import array_to_vector, predict_batch_udf
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType

from environment import describe, write_result
from glasses_spark import GlassesModel, build_cnn
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session
from glasses_spark.runtime.workers import worker_environment
from glasses_spark.scoring.features import features_column, matrix
from glasses_spark.scoring.predictor import TrainedModel, cached_predictor

BATCH = 256
SIDE, NUMBERS = 128, 100
CLASSES = {"rawPredictionCol": "raw", "probabilityCol": "p", "predictionCol": "class"}
Way = Callable[[], DataFrame]


def main() -> None:
    arguments = _arguments()
    generator = np.random.default_rng(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        spark_session(master=f"local[{arguments.workers}]") as spark,
    ):
        table = {}
        if arguments.model != "dense":
            pixels = generator.integers(0, 256, (arguments.rows, SIDE * SIDE)).astype(np.uint8)
            _write(f"{folder}/cnn", [row.tobytes() for row in pixels], pa.binary())
            images = spark.read.parquet(f"{folder}/cnn")
            table["cnn"] = _measure(images, build_cnn(), arguments)
        if arguments.model != "cnn":
            numbers = generator.normal(size=(arguments.rows * 10, NUMBERS))
            _write(f"{folder}/dense", list(numbers), pa.list_(pa.float64()))
            arrays = spark.read.parquet(f"{folder}/dense")
            vectors = arrays.select("id", array_to_vector("features").alias("features")).cache()
            vectors.count()
            table["dense"] = _measure(vectors, _dense(), arguments)
    result = describe("udf", vars(arguments)) | {"table": table}
    print(table, write_result("udf", result) if arguments.model == "both" else "")


def _dense() -> Any:
    keras = import_keras()
    dense = keras.layers.Dense
    return keras.Sequential([keras.Input((NUMBERS,)), dense(32, "relu"), dense(1, "sigmoid")])


def _measure(rows: DataFrame, model: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    ways = _ways(rows, model)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way().drop("features").write.format("noop").mode("overwrite").save()
            seconds[name].append(time.perf_counter() - start)
    count = rows.count()
    rates = {name: count / statistics.median(times[1:]) for name, times in seconds.items()}
    own = rates["transform"]
    for name, rate in rates.items():
        print(f"{name:26}{rate:10.0f} rows/s {rate / own:6.2f}", flush=True)
    return {
        name: {"rows_per_second": round(rate, 1), "ratio": round(rate / own, 3)}
        for name, rate in rates.items()
    } | {"seconds": seconds}


def _ways(rows: DataFrame, model: Any) -> dict[str, Way]:
    kind = {"prediction_kind": "probabilities", "prediction_size": 1}
    settings = {"keras_model_config": model.to_json(), "weights": model.get_weights(), **kind}
    plain, with_classes = GlassesModel(**settings), GlassesModel(**settings, **CLASSES)
    context = rows.sparkSession.sparkContext
    trained = plain._trained()
    shared = context.broadcast({"weights": trained.weights})
    bare = replace(trained, weights=())
    size = int(np.prod(model.input_shape[1:]))
    column, dtype = features_column(rows, "features", "float32", size=size)

    def predict(trained: TrainedModel, values: Any) -> Any:
        model = replace(trained, **shared.value)
        return cached_predictor(model, with_logits=False).predict(values)[0][0]

    def make_predict() -> Any:
        def predict_batch(values: Any) -> Any:
            if values.dtype == object:  # predict_batch_udf leaves binaries as they are
                values = np.frombuffer(b"".join(values), np.uint8).reshape(-1, size)
            return predict(bare, values)

        return predict_batch

    def score(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            values = matrix(batch.column("features"), size, "features")
            outputs = np.concatenate(
                [predict(bare, values[i : i + BATCH]) for i in range(0, len(values), BATCH)]
            )
            offsets = np.arange(len(outputs) + 1, dtype=np.int32)
            lists = pa.ListArray.from_arrays(offsets, outputs[:, 0])
            yield pa.RecordBatch.from_arrays([*batch.columns, lists], [*batch.schema.names, "p"])

    shapes = {} if dtype == "uint8" else {"input_tensor_shapes": [[size]]}
    with worker_environment(context, threads=1):
        spark_udf = predict_batch_udf(
            make_predict, return_type=ArrayType(DoubleType()), batch_size=BATCH, **shapes
        )(column)
        prepared = rows.select("id", column.alias("features"))
        kind_of = prepared.schema["features"].dataType.simpleString()
        arrow = prepared.mapInArrow(score, f"id long, features {kind_of}, p array<double>")
    return {
        "transform": lambda: plain.transform(rows),
        "predict_batch_udf": lambda: rows.withColumn("p", spark_udf),
        "mapInArrow": lambda: arrow,
        "transform with classes": lambda: with_classes.transform(rows),
        "with classes by columns": lambda: _classes(rows.withColumn("p", spark_udf)),
    }


def _classes(scored: DataFrame) -> DataFrame:
    p = F.col("p")[0]
    probabilities = F.array(1 - p, p)
    logit = F.log(p) - F.log1p(-p)
    best = F.array_position(probabilities, F.array_max(probabilities)).cast("double") - 1
    return scored.select(
        "*",
        array_to_vector(F.array(-logit, logit)).alias("raw"),
        array_to_vector(probabilities).alias("probability"),
        best.alias("class"),
    )


def _write(folder: str, features: list[Any], kind: pa.DataType) -> None:
    """Write files of an eighth of the rows each."""
    Path(folder).mkdir()
    step = -(-len(features) // 8)
    for first in range(0, len(features), step):
        part = features[first : first + step]
        ids = pa.array(range(first, first + len(part)), pa.int64())
        table = pa.table({"id": ids, "features": pa.array(part, kind)})
        pq.write_table(table, f"{folder}/part-{first:07d}.parquet", row_group_size=512)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", choices=("both", "cnn", "dense"), default="both")
    return parser.parse_args()


if __name__ == "__main__":
    main()
