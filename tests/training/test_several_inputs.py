"""Fits of models with several inputs and outputs, against plain Keras on the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import (
    GlassesEstimator,
    GlassesEvaluator,
    GlassesModel,
    build_estimator,
)
from glasses_spark.training.settings import Columns, FitSettings
from tests.training.several import (
    BATCH,
    FEATURES,
    INPUTS,
    LABELS,
    SEED,
    batches,
    dataset,
    frame_of,
    key_order,
    moved_alike,
    predictions,
    table,
    wide_and_deep,
)

# Each fits a model with Spark.
pytestmark = pytest.mark.slow

EPOCHS = 2


@pytest.fixture(scope="module")
def columns() -> dict[str, Any]:
    return table()


@pytest.fixture(scope="module")
def rows(spark: SparkSession, columns: dict[str, Any]) -> DataFrame:
    return frame_of(spark, columns).repartition(3).cache()


def estimator(model: Any, **settings: Any) -> GlassesEstimator:
    given = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "categorical": False,
        "mode": "synchronous",
        "featuresCol": FEATURES,
        "labelCol": LABELS,
        "seed": SEED,
    }
    return build_estimator(model, **{**given, **settings})


@pytest.fixture(scope="module")
def weighted(rows: DataFrame) -> GlassesModel:
    """One synchronous worker, weights of rows, and validation rows."""
    settings = {"weightCol": "w", "validationIndicatorCol": "held_out"}
    fitted = estimator(wide_and_deep(), **settings).fit(rows)
    assert isinstance(fitted, GlassesModel)
    return fitted


def plain_keras(
    columns: dict[str, Any], order: list[int], *, weighted: bool, validation: Any = None, **how: Any
) -> tuple[Any, list[dict[str, float]]]:
    """Fit with plain Keras on the batches of one worker; return the model and its history."""
    model = wide_and_deep(**how)
    history = []
    for epoch in range(EPOCHS):
        rows = [row for batch in batches(order, workers=1, epoch=epoch) for row in batch]
        data = dataset(columns, rows, BATCH, weighted=weighted, **how)
        logs = model.fit(data, validation_data=validation, shuffle=False, verbose=0).history
        history.append({name: value[0] for name, value in logs.items()})
    return model, history


def test_one_worker_trains_weights_and_history_of_keras(
    weighted: GlassesModel, rows: DataFrame, columns: dict[str, Any]
) -> None:
    used = Columns(tuple(FEATURES.values()), tuple(LABELS.values()), "w", "held_out")
    order = key_order(rows, used, FitSettings(seed=SEED, categorical=False))
    held_out = np.flatnonzero(columns["held_out"])
    validation = dataset(columns, held_out, BATCH, weighted=True)

    model, history = plain_keras(columns, order, weighted=True, validation=validation)

    before = wide_and_deep().get_weights()
    assert moved_alike(weighted.weights, model.get_weights(), before) < 1e-6
    for ours, plain in zip(weighted.history, history, strict=True):
        assert [name for name in ours if name in plain] == sorted(plain)
        assert {name: ours[name] for name in plain} == pytest.approx(plain, rel=1e-5)
    assert {"loss", "price_loss", "kind_accuracy", "val_price_mae"} < set(history[0])


def test_each_output_has_a_column_with_the_predictions_of_keras(
    weighted: GlassesModel, rows: DataFrame, columns: dict[str, Any]
) -> None:
    scored = weighted.transform(rows)
    assert dict(scored.dtypes)["prediction_price"] == "double"
    assert dict(scored.dtypes)["prediction_kind"] == "array<double>"
    everything = dataset(columns, slice(None), len(columns["id"]), weighted=False)
    expected = weighted.keras_model().predict(everything, verbose=0)
    found = predictions(weighted, rows, "prediction_price", "prediction_kind")
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-6)

    accuracy = GlassesEvaluator(
        metricName="accuracy", labelCol="class", predictionCol="prediction_kind"
    ).evaluate(scored)
    assert accuracy == pytest.approx((found[1].argmax(axis=1) == columns["class"]).mean())
    rmse = GlassesEvaluator(
        metricName="rmse", labelCol="price", predictionCol="prediction_price"
    ).evaluate(scored)
    error = found[0][:, 0] - columns["price"]
    assert rmse == pytest.approx(np.sqrt((error**2).mean()))


def test_two_synchronous_workers_take_the_mean_over_their_rows(
    rows: DataFrame, columns: dict[str, Any]
) -> None:
    fitted = estimator(
        wide_and_deep(),
        num_workers=2,
        featuresCol=list(FEATURES.values()),
        labelCol=["price", "class"],
    ).fit(rows)

    used = Columns(tuple(FEATURES.values()), tuple(LABELS.values()))
    order = key_order(rows, used, FitSettings(seed=SEED, categorical=False))
    model = wide_and_deep()
    before = model.get_weights()
    for epoch in range(EPOCHS):
        for batch in batches(order, workers=2, epoch=epoch):
            model.fit(dataset(columns, batch, len(batch), weighted=False), shuffle=False, verbose=0)
    assert moved_alike(fitted.weights, model.get_weights(), before) < 1e-6


def test_an_asynchronous_worker_by_epoch_trains_a_model_of_mappings_as_keras(
    rows: DataFrame, columns: dict[str, Any]
) -> None:
    fitted = estimator(
        wide_and_deep(as_mappings=True), mode="asynchronous", frequency="epoch", outputCol="guess"
    ).fit(rows)

    # The inputs and outputs of a mapping are in the order of their names.
    names = sorted(INPUTS)
    used = Columns(tuple(FEATURES[name] for name in names), ("class", "price"))
    order = key_order_by_name(rows, used)
    model, history = plain_keras(columns, order, weighted=False, as_mappings=True)
    before = wide_and_deep(as_mappings=True).get_weights()
    assert moved_alike(fitted.weights, model.get_weights(), before) < 1e-6
    for ours, plain in zip(fitted.history, history, strict=True):
        assert {name: ours[name] for name in plain} == pytest.approx(plain, rel=1e-5)
    assert {"guess_price", "guess_kind"} < set(fitted.transform(rows).columns)


def key_order_by_name(rows: DataFrame, used: Columns) -> list[int]:
    from glasses_spark.scoring.model_ports import input_ports
    from glasses_spark.training.training_frame import training_frame
    from tests.training.several import BIG

    ports = input_ports(wide_and_deep(as_mappings=True).to_json())
    settings = FitSettings(seed=SEED, categorical=False)
    keyed, _ = training_frame(rows, used, settings, ports, dtype="float64")
    position = f"features_{sorted(INPUTS).index('number')}"
    return [row[position][0] - BIG for row in keyed.orderBy("key").collect()]
