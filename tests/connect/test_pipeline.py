"""Tests of the pipeline's stages under Spark Connect, on a real server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from elephas.utils.model_utils import ModelType
from pyspark.sql import SparkSession

from glasses_spark import (
    Config,
    GlassesModel,
    GlassesPipeline,
    assign_folds,
    build_cnn,
    build_session,
    load_dataset,
    pixels_to_features,
    spark_session,
    to_features,
)
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.errors import ImagesError, LabelsError, SetupError
from glasses_spark.pipeline.unlabelled import decode_unlabelled
from glasses_spark.runtime import hadoop

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

FACES = 24
SIDE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces and their labels; one file is broken, and one is empty."""
    folder = tmp_path_factory.mktemp("faces")
    labels = make_labels(FACES, seed=2)
    write_labels(folder / "labels.csv", labels)
    draw_faces(folder / "labels.csv", folder / "faces", size=64, processes=1)
    broken, empty = [index for index, label in labels if label not in ("", "nan")][:2]
    (folder / "faces" / f"face-{broken}.png").write_bytes(b"no picture")
    (folder / "faces" / f"face-{empty}.png").write_bytes(b"")
    return folder


def pipeline_of(folder: Path, **sections: Mapping[str, object]) -> GlassesPipeline:
    config: dict[str, Any] = {
        "data": {
            "images": str(folder / "faces"),
            "labels": str(folder / "labels.csv"),
            "max_bad_fraction": 0.5,
        },
        "image": {"height": SIDE, "width": SIDE},
        "split": {"test": 0.3},
        "run": {"dir": str(folder / "run")},
        "store": {"dir": ""},
    }
    return GlassesPipeline(Config.from_dict(config | sections))


def model_of() -> GlassesModel:
    network = build_cnn(SIDE, SIDE, seed=1)
    return GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        model_type=ModelType.CLASSIFICATION,
        featuresCol="pixels",
        rawPredictionCol="rawPrediction",
    )


def test_images_are_loaded_decoded_scored_and_evaluated_as_in_a_classic_session(
    spark: SparkSession, folder: Path, request: pytest.FixtureRequest
) -> None:
    pipeline, model = pipeline_of(folder), model_of()

    def stages(session: SparkSession) -> tuple[object, ...]:
        dataset = pipeline.load(session)
        result = pipeline.preprocess(dataset)
        _, test = pipeline.split(result.good)
        predictions = pipeline.predict(model, test).persist()
        scored = {row.id: round(row.prediction[0], 5) for row in predictions.collect()}
        log_loss = round(pipeline.evaluate(predictions).log_loss, 5)
        files = {(row.path, row.length, row.id) for row in dataset.listing.collect()}
        session.catalog.clearCache()
        return dataset.account, result.quarantine, scored, log_loss, files

    expected = stages(spark)
    connect = request.getfixturevalue("connect")
    assert stages(connect) == expected


def test_the_pixel_store_is_filled_and_brought_up_to_date(
    connect: SparkSession, folder: Path, tmp_path: Path
) -> None:
    pipeline = pipeline_of(folder, store={"dir": str(tmp_path / "pixels [1]")})
    first, second = pipeline.prepare(connect), pipeline.prepare(connect)
    assert (first.decoded > 0, first.reused) == (True, 0)
    assert (second.decoded, second.reused) == (0, first.decoded)
    for path in (folder / "faces").glob("*.png"):
        os.utime(path, (1, 1))
    third = pipeline.prepare(connect)
    # Of an empty file Spark does not report the time.
    assert (third.decoded, third.reused) == (first.decoded - 1, 1)
    (store,) = (tmp_path / "pixels [1]").iterdir()
    assert [path.name.split("-")[0] for path in store.iterdir()] == ["base"]


def test_the_pipeline_fits_a_model(
    connect: SparkSession, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    training = {"epochs": 1, "num_workers": 2, "batch_size": 8, "class_weight": "balanced"}
    split = {"test": 0.3, "validation": 0.2}
    pipeline = pipeline_of(folder, training=training, split=split)
    good = pipeline.preprocess(pipeline.load(connect)).good
    train, test = pipeline.split(good)
    model = pipeline.fit(train)
    assert len(model.history) == 1
    assert "Epoch 1/1: loss" in caplog.text
    assert pipeline.evaluate(pipeline.predict(model, test)).rows == test.count()
    pipeline.calibrate(model, pipeline.predict(model, train))
    assert model.get_temperature() > 0
    connect.catalog.clearCache()


def test_other_images_are_decoded_for_prediction(connect: SparkSession, folder: Path) -> None:
    config = pipeline_of(folder).config
    some = sorted(str(path) for path in (folder / "faces").glob("*.png"))[-3:]
    assert decode_unlabelled(connect, some, config).count() == 3
    assert decode_unlabelled(connect, [str(folder / "faces")], config).count() >= FACES - 2


def test_pixels_become_vectors(connect: SparkSession, folder: Path) -> None:
    dataset = pipeline_of(folder).load(connect)
    vectors = to_features(dataset.frame, height=8, width=8)
    assert {row.features.size for row in vectors.collect() if row.features} == {64}
    good = pipeline_of(folder).preprocess(dataset).good
    folds = assign_folds(good, folds=2, seed=1)
    assert {row.fold for row in folds.collect()} == {0, 1}
    assert pixels_to_features(good).first().features.size == SIDE * SIDE  # type: ignore[union-attr]
    connect.catalog.clearCache()


def test_missing_images_and_labels_are_named(connect: SparkSession, folder: Path) -> None:
    images, labels = str(folder / "faces"), str(folder / "labels.csv")
    with pytest.raises(ImagesError, match="no such folder"):
        load_dataset(connect, str(folder / "other"), labels)
    with pytest.raises(LabelsError, match="no such file"):
        load_dataset(connect, images, f"file:{folder}/other.csv")


@pytest.mark.parametrize("method", ["run", "cross_validate"])
def test_what_writes_a_run_folder_is_refused(
    connect: SparkSession, folder: Path, method: str
) -> None:
    with pytest.raises(SetupError, match=rf"GlassesPipeline\.{method} needs a classic session"):
        getattr(pipeline_of(folder), method)(connect)
    assert not (folder / "run").exists()


def test_files_that_only_a_driver_reaches_are_refused(connect: SparkSession) -> None:
    with pytest.raises(SetupError, match="needs a classic session"):
        hadoop.move(connect, "hdfs:///a", "hdfs:///b")


def test_the_session_of_spark_connect_is_the_running_session(connect: SparkSession) -> None:
    assert build_session() is connect
    with spark_session() as session:
        assert session is connect
    assert connect.range(3).count() == 3
