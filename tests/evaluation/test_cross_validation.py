"""Tests for glasses_spark.evaluation.cross_validation, with a Spark session."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import build_estimator
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.evaluation.cross_validation import (
    FoldResult,
    Folds,
    assign_folds,
    cross_validate,
    folds_table,
)
from glasses_spark.evaluation.label_doubt import doubt_labels
from glasses_spark.evaluation.metrics import add_predicted_label, evaluate
from tests.training.tiny import separable, tiny_model


def folds_of(images: DataFrame, *, folds: int = 5, seed: int = 0) -> dict[int, int]:
    return {row.id: row.fold for row in assign_folds(images, folds=folds, seed=seed).collect()}


@pytest.fixture(scope="module")
def images(spark: SparkSession) -> DataFrame:
    """200 images, the first 80 of them with glasses."""
    return spark.range(200).select(
        F.col("id").cast("int"), (F.col("id") < 80).cast("double").alias("label")
    )


def test_the_images_of_a_label_are_distributed_evenly(images: DataFrame) -> None:
    folds = folds_of(images)

    assert sorted(folds) == list(range(200))
    assert Counter(folds[number] for number in range(80)) == dict.fromkeys(range(5), 16)
    assert Counter(folds[number] for number in range(80, 200)) == dict.fromkeys(range(5), 24)


@pytest.mark.slow
def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_rows(images: DataFrame) -> None:
    folds = folds_of(images)

    assert folds_of(images.orderBy(F.rand(1)).repartition(7)) == folds
    assert folds_of(images.withColumn("id", F.col("id").cast("bigint"))) == folds
    other_seed = folds_of(images, seed=1)
    assert (
        20 <= sum(folds[number] == other_seed[number] for number in folds) <= 60
    )  # 40 expected by chance


def test_near_duplicates_are_in_one_fold(images: DataFrame) -> None:
    # Clusters of three, some with both labels.
    clustered = images.withColumn("cluster", (F.col("id") - F.col("id") % 3).cast("int"))
    folds = folds_of(clustered)

    assert all(folds[number] == folds[number - number % 3] for number in folds)
    counts = Counter(folds.values())
    assert max(counts.values()) - min(counts.values()) <= 6


def test_a_cluster_of_one_image_is_assigned_by_its_id(images: DataFrame) -> None:
    assert folds_of(images.withColumn("cluster", F.col("id"))) == folds_of(images)


def test_fewer_than_two_folds_are_refused(images: DataFrame) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.folds: expected a whole number >= 2"):
        assign_folds(images, folds=1, seed=0)


@pytest.mark.slow
def test_every_image_is_scored_by_a_model_that_was_not_trained_on_it(images: DataFrame) -> None:
    frame = images.join(assign_folds(images, folds=4, seed=0), "id")
    fitted: list[set[int]] = []

    def fit(train: DataFrame) -> set[int]:
        fitted.append({row.id for row in train.collect()})
        return fitted[-1]

    def predict(train_ids: set[int], rows: DataFrame) -> DataFrame:
        # Probability 1 for every training image, which the assertion below would reveal.
        is_seen = F.col("id").isin(*train_ids).cast("double")
        return add_predicted_label(rows.withColumn("prediction", F.array(is_seen)))

    result = cross_validate(frame, fit=fit, predict=predict, evaluate=evaluate)

    predictions = result.predictions.select("id", "fold", F.col("prediction")[0]).collect()
    assert sorted(row.id for row in predictions) == list(range(200))
    assert all(row[2] == 0.0 for row in predictions)
    assert all(row.id not in fitted[row.fold] for row in predictions)
    assert [fold.metrics.rows for fold in result.results] == [50] * 4
    assert (
        [fold.train_rows for fold in result.results]
        == [len(train_ids) for train_ids in fitted]
        == [150] * 4
    )
    assert [fold.metrics.accuracy for fold in result.results] == [0.6] * 4
    result.unpersist()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("label = 1", r"found 5 folds for \{1\.0: 80\} images by label"),
        ("label = 0 OR id < 3", r"found 5 folds for \{0\.0: 120, 1\.0: 3\} images by label"),
    ],
)
def test_a_fold_without_images_of_a_label_is_refused(
    images: DataFrame, where: str, message: str
) -> None:
    selected = images.where(where)
    frame = selected.join(assign_folds(selected, folds=5, seed=0), "id")
    with pytest.raises(DataError, match=message):
        cross_validate(frame, fit=id, predict=lambda model, rows: rows, evaluate=evaluate)


@pytest.fixture(scope="module")
def folds(spark: SparkSession) -> Folds:
    """Three folds of two images with different accuracies and log losses."""
    rows = spark.createDataFrame(
        [(1.0, [0.9]), (0.0, [0.1])], "label double, prediction array<double>"
    )
    metrics = evaluate(rows)
    figures = ((0.9, 0.1), (0.8, 0.3), (1.0, 0.2))
    results = [
        FoldResult(fold, 4, replace(metrics, accuracy=accuracy, log_loss=loss, roc_auc=None), 1, 1)
        for fold, (accuracy, loss) in enumerate(figures)
    ]
    return Folds(tuple(results), rows, ())


def test_mean_and_standard_deviation_are_over_the_folds(folds: Folds) -> None:
    assert folds.mean()["accuracy"] == pytest.approx(0.9)
    assert folds.standard_deviation()["accuracy"] == pytest.approx(0.1)
    assert folds.standard_deviation()["log_loss"] == pytest.approx(0.1)
    assert "roc_auc" not in folds.mean()  # undefined in the folds
    assert "threshold" not in folds.mean()


def test_the_table_has_a_line_per_fold_then_mean_and_deviation(folds: Folds) -> None:
    lines = folds_table(folds).splitlines()

    assert [line.split() for line in lines] == [
        ["fold", "images", "accuracy", "log", "loss", "stable", "log", "loss"],
        ["1", "2", "0.9000", "0.1000", "0.1054"],
        ["2", "2", "0.8000", "0.3000", "0.1054"],
        ["3", "2", "1.0000", "0.2000", "0.1054"],
        ["mean", "6", "0.9000", "0.2000", "0.1054"],
        ["std", "0.1000", "0.1000", "0.0000"],
    ]


@pytest.mark.slow
def test_flipped_labels_have_the_highest_doubt(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    x, _ = separable(300)
    distance = (x @ range(1, 7)).tolist()  # labels far from the boundary are certain
    flipped = sorted(range(300), key=lambda number: -abs(distance[number]))[:40:4]
    rows = [
        (number, f"f-{number}.png", float((distance[number] > 0) != (number in flipped)), features)
        for number, features in enumerate(x.tolist())
    ]
    schema = "id int, path string, label double, features array<double>"
    images = spark.createDataFrame(rows, schema)
    frame = images.join(assign_folds(images, folds=3, seed=0), "id").cache()
    model = tiny_model()
    model.optimizer.learning_rate = 0.05
    estimator = build_estimator(model, 10, 16, categorical=False, num_workers=2, mode="synchronous")
    with caplog.at_level(logging.INFO, "glasses_spark"):
        result = cross_validate(
            frame,
            fit=estimator.fit,
            predict=lambda fitted, rows: add_predicted_label(fitted.transform(rows)),
            evaluate=evaluate,
        )
    doubt = doubt_labels(result.predictions, limit=20)

    assert {label.id for label in doubt.listed[:10]} == set(flipped)
    assert all(label.likely_wrong for label in doubt.listed[:10])
    assert result.mean()["accuracy"] > 0.85
    assert "Fold 3 of 3: training on 201 images" in caplog.text
    result.unpersist()
    frame.unpersist()
