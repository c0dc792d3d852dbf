"""Tests for glasses_spark.training.shared_rows: fits of a grid read their rows once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pyspark.accumulators import Accumulator
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, ROWS, same_weights, tiny_estimator, tiny_model


class Source:
    """Rows whose readings are counted."""

    def __init__(self, spark: SparkSession) -> None:
        count: Accumulator[int] = spark.sparkContext.accumulator(0)

        def counted(batches: Iterable[Any]) -> Iterator[Any]:
            for batch in batches:
                count.add(batch.num_rows)
                yield batch

        rows = spark.range(ROWS, numPartitions=2).select(
            F.array(*(F.sin(F.col("id") * n + 1) for n in range(1, FEATURES + 1))).alias(
                "features"
            ),
            (F.sin(F.col("id") * 2 + 1) > 0).cast("double").alias("label"),
        )
        self.frame: DataFrame = rows.mapInArrow(counted, rows.schema)
        self._count = count

    @property
    def readings(self) -> float:
        """How often all rows have been read."""
        return self._count.value / ROWS


@pytest.fixture
def source(spark: SparkSession) -> Source:
    """Rows whose readings are counted."""
    return Source(spark)


def persisted(spark: SparkSession) -> int:
    return len(spark.sparkContext._jsc.getPersistentRDDs())


def test_the_rows_of_a_grid_are_read_once_and_released(spark: SparkSession, source: Source) -> None:
    before = persisted(spark)
    estimator = tiny_estimator(mode="synchronous", epochs=1)
    grid = [{estimator.learning_rate: rate} for rate in (0.1, 0.01, 0.001)]
    models = estimator.fit(source.frame, grid)
    assert source.readings == 1
    assert persisted(spark) == before
    for point, model in zip(grid, models, strict=True):
        alone = estimator.copy(point).fit(source.frame)
        for one, other in zip(model.weights, alone.weights, strict=True):
            assert np.array_equal(one, other)


def test_other_rows_are_read_again(spark: SparkSession, source: Source) -> None:
    before = persisted(spark)
    estimator = tiny_estimator(mode="synchronous", epochs=1)
    points: list[dict[str, Any]] = [
        {"epochs": 1},
        {"seed": 1},
        {"class_weight": {1.0: 2.0}},
        {"validation_split": 0.2},
        {"seed": 1, "batch_size": 4},
    ]
    grid = [{estimator.getParam(name): v for name, v in point.items()} for point in points]
    estimator.fit(source.frame, grid)
    assert source.readings == 4
    assert persisted(spark) == before


def test_a_fit_that_fails_releases_the_rows(spark: SparkSession, source: Source) -> None:
    before = persisted(spark)
    estimator = tiny_estimator(mode="synchronous", epochs=1)
    grid = [{estimator.batch_size: 8}, {estimator.early_stopping: 2}, {estimator.batch_size: 4}]
    models = estimator.fitMultiple(source.frame, grid)
    next(models)
    with pytest.raises(TrainingError, match="validation rows"):
        next(models)
    assert persisted(spark) == before
    assert next(models)[0] == 2  # prepares its rows again
    assert source.readings == 2
    assert persisted(spark) == before


def test_models_that_nobody_takes_release_the_rows(spark: SparkSession, source: Source) -> None:
    before = persisted(spark)
    estimator = tiny_estimator(mode="synchronous", epochs=1)
    models = estimator.fitMultiple(source.frame, [{estimator.seed: 0}, {estimator.seed: 0}])
    next(models)
    assert persisted(spark) == before + 1
    del models
    assert persisted(spark) == before


def test_a_cross_validator_with_several_threads_reads_the_rows_of_a_fold_once(
    spark: SparkSession, source: Source
) -> None:
    estimator = tiny_estimator(
        mode="asynchronous", num_workers=1, epochs=1, rawPredictionCol="rawPrediction"
    )
    rates = ParamGridBuilder().addGrid(estimator.learning_rate, [0.1, 0.01, 0.001]).build()
    before = persisted(spark)
    CrossValidator(
        estimator=estimator,
        estimatorParamMaps=rates,
        evaluator=BinaryClassificationEvaluator(),
        numFolds=2,
        parallelism=2,
        seed=1,
    ).fit(source.frame)
    # Spark caches both parts of a fold, and the whole frame for the last fit.
    assert source.readings == 2 * 2 + 1
    assert persisted(spark) == before


@pytest.mark.parametrize("frequency", ["batch", pytest.param("epoch", marks=pytest.mark.rotated)])
def test_fits_of_a_grid_are_those_of_single_fits_without_a_warning(
    source: Source,
    frequency: str,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    """The steps of the Python workers are kept from one fit to the next."""
    estimator = tiny_estimator(
        model=tiny_model(hidden=[import_keras().layers.Dropout(0.5)]),
        mode="synchronous",
        frequency=frequency,
    )
    values: list[dict[str, Any]] = [
        {"learning_rate": 0.1},
        {"learning_rate": 0.01, "epochs": 1},
        {"optimizer_config": "sgd", "seed": 1},
        {"learning_rate": 0.1},
    ]
    grid = [{estimator.getParam(name): v for name, v in point.items()} for point in values]
    tf.get_logger().addHandler(caplog.handler)
    request.addfinalizer(lambda: tf.get_logger().removeHandler(caplog.handler))
    models = estimator.fit(source.frame, grid)
    assert same_weights(models[0], models[-1])
    for point, model in zip(grid, models, strict=True):
        alone = estimator.copy(point).fit(source.frame)
        assert same_weights(model, alone)
        assert [epoch["loss"] for epoch in model.history] == [e["loss"] for e in alone.history]
    assert "retracing" not in caplog.text  # eight fits of TensorFlow functions of the same code
