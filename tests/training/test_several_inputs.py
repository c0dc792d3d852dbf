"""Fits of models with several inputs and outputs, against plain Keras on the same batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import GlassesEstimator, GlassesEvaluator, GlassesModel, build_estimator
from glasses_spark.errors import DataError, GlassesSparkError
from glasses_spark.runtime.keras import import_keras
from tests.training.several import (
    BATCH,
    BIG,
    CITIES,
    FEATURES,
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

keras = import_keras()

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
    order = key_order(wide_and_deep(), rows, weight="w", validation="held_out")
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

    order = key_order(wide_and_deep(), rows)
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

    order = key_order(wide_and_deep(as_mappings=True), rows)
    model, history = plain_keras(columns, order, weighted=False, as_mappings=True)
    before = wide_and_deep(as_mappings=True).get_weights()
    assert moved_alike(fitted.weights, model.get_weights(), before) < 1e-6
    for ours, plain in zip(fitted.history, history, strict=True):
        assert {name: ours[name] for name in plain} == pytest.approx(plain, rel=1e-5)
    assert {"guess_price", "guess_kind"} < set(fitted.transform(rows).columns)


@pytest.mark.parametrize("name", ["saved", "saved.h5"])
def test_a_saved_model_has_its_columns_and_predictions(
    weighted: GlassesModel, rows: DataFrame, tmp_path: Any, name: str
) -> None:
    weighted.save(str(tmp_path / name))
    loaded = GlassesModel.load(str(tmp_path / name))

    assert loaded.getFeaturesCol() == FEATURES
    assert loaded.getLabelCol() == LABELS
    assert loaded.get_prediction_kind(output="kind") == "probabilities"
    assert loaded.archive == weighted.archive
    for first, second in zip(weighted.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("param", "value", "message"),
    [
        ("rawPredictionCol", "raw", "rawPredictionCol needs a model with one output, found price"),
        ("temperature", 2.0, "temperature needs a model with one output, found price, kind"),
        ("outputCol", ["p"], "outputCol: expected 2 columns, for the outputs price, kind, got 1"),
        ("outputCol", ["age", "p"], "output column 'age' exists already"),
    ],
)
def test_params_that_do_not_fit_several_outputs_are_refused(
    weighted: GlassesModel, rows: DataFrame, param: str, value: Any, message: str
) -> None:
    model = weighted.copy({weighted.getParam(param): value})
    with pytest.raises(GlassesSparkError, match=message):
        model.transform(rows)


def test_partitions_without_rows_have_no_predictions(
    weighted: GlassesModel, rows: DataFrame
) -> None:
    one = rows.where(f"id = {BIG}")
    found = predictions(weighted, one, "prediction_price", "prediction_kind")
    assert [values.shape for values in found] == [(1, 1), (1, 3)]


@pytest.mark.parametrize("name", ["saved", "saved.h5"])
def test_a_saved_estimator_has_its_columns_losses_and_metrics(tmp_path: Any, name: str) -> None:
    given = estimator(
        wide_and_deep(), featuresCol=list(FEATURES.values()), outputCol={"price": "p", "kind": "k"}
    )
    given.save(str(tmp_path / name))
    loaded = GlassesEstimator.load(str(tmp_path / name))

    assert loaded.get_config() == given.get_config()
    assert loaded.getFeaturesCol() == list(FEATURES.values())
    assert loaded.getOutputCol() == {"price": "p", "kind": "k"}
    assert loaded.getOrDefault("loss_weights") == {"price": 0.25, "kind": 2.0}
    assert loaded.require_columns() == given.require_columns()


def test_hogwild_workers_in_a_pipeline_with_other_params(rows: DataFrame, tmp_path: Any) -> None:
    stage = estimator(wide_and_deep(), mode="hogwild", num_workers=2, epochs=9, split=0.2)
    fitted = Pipeline(stages=[stage]).fit(rows, {stage.epochs: 1})
    fitted.save(str(tmp_path / "pipeline"))

    (loaded,) = PipelineModel.load(str(tmp_path / "pipeline")).stages
    assert isinstance(loaded, GlassesModel)
    assert loaded.getFeaturesCol() == FEATURES
    (epoch,) = loaded.history
    assert {"val_kind_accuracy", "val_price_loss"} < set(epoch)


def test_a_model_of_one_string_takes_a_column_of_strings(
    rows: DataFrame, columns: dict[str, Any]
) -> None:
    city = keras.Input((), dtype="string")
    numbers = keras.layers.TextVectorization(output_sequence_length=1, vocabulary=[*CITIES])(city)
    embedded = keras.layers.Embedding(6, 2, embeddings_initializer="ones")(numbers)
    outputs = keras.layers.Dense(1, kernel_initializer="ones")(keras.layers.Flatten()(embedded))
    model = keras.Model(city, outputs)
    model.compile(keras.optimizers.SGD(0.05), "mse", loss_weights=0.5)

    everything = {"batch_size": len(columns["id"]), "epochs": 2}
    fitted = estimator(model, featuresCol="city", labelCol="price", **everything).fit(rows)
    words = keras.ops.convert_to_tensor(columns["city"].tolist())
    model.fit(words, columns["price"], **everything, shuffle=False, verbose=0)

    for ours, plain in zip(fitted.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-6, atol=1e-7)
    (found,) = predictions(fitted, rows, "prediction")
    np.testing.assert_allclose(found, model.predict(words, verbose=0), atol=1e-6)
    with pytest.raises(Exception, match="expected a value in every row, got null"):
        fitted.transform(rows.limit(1).withColumn("city", F.lit(None).cast("string"))).collect()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"age": "city"}, "column 'city': expected pixels .* for the input 'age', got string"),
        ({"city": "age"}, "column 'age': expected a string .* for the input 'city', got double"),
        ({"picture": "age"}, r"expected pixels .* of 16 numbers for the input 'picture', got doub"),
        ({"city": "nowhere"}, "features column 'nowhere' not found, the columns are pixels, age"),
    ],
)
def test_a_column_that_does_not_fit_its_input_is_refused(
    rows: DataFrame, weighted: GlassesModel, column: dict[str, str], message: str
) -> None:
    model = weighted.copy({weighted.getParam("featuresCol"): FEATURES | column})
    with pytest.raises(DataError, match=message):
        model.transform(rows)


def test_the_example_of_the_documentation_runs(spark: SparkSession) -> None:
    page = Path(__file__).parents[2] / "docs" / "distributed-training.md"
    section = page.read_text().split("## Several inputs and outputs")[1]
    code = section.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"spark": spark}
    exec(compile(code, str(page), "exec"), names)
    assert names["scored"].columns[-2:] == ["prediction_rent", "prediction_kind"]
