"""Streams: a model scores images in a stream of Spark as Keras does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glasses_spark import GlassesModel
from glasses_spark.preprocessing.pixels import to_pixels
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model

keras = import_keras()


@pytest.mark.slow
def test_a_stream_of_binary_files_has_the_predictions_of_keras(
    spark: SparkSession, tmp_path: Path
) -> None:
    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    model = GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        archive=pack_model(network),
        featuresCol="pixels",
        rawPredictionCol="rawPrediction",
    )
    images = np.random.default_rng(1).integers(0, 256, (20, 8, 8), np.uint8)
    (tmp_path / "in").mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), image)

    files = (
        spark.readStream.schema(spark.read.format("binaryFile").load(str(tmp_path / "in")).schema)
        .format("binaryFile")
        .load(str(tmp_path / "in"))
        .withColumns({"id": F.lit(None).cast("int"), "label": F.lit(None).cast("double")})
    )
    scored = model.transform(to_pixels(files, height=8, width=8)).select("path", "prediction")
    query = scored.writeStream.format("parquet").trigger(availableNow=True)
    query.option("checkpointLocation", str(tmp_path / "checkpoint")).start(
        str(tmp_path / "out")
    ).awaitTermination()

    rows = spark.read.parquet(str(tmp_path / "out")).collect()
    found = {int(Path(row.path).stem): row.prediction[0] for row in rows}
    expected = network.predict(images[..., np.newaxis] / 255, verbose=0)[:, 0]
    assert len(rows) == len(images)
    assert [found[number] for number in range(len(images))] == pytest.approx(expected, abs=1e-5)
