"""Tests for glasses_spark.training.spark_model: Elephas' calls, on our engine."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from elephas.enums.frequency import Frequency
from elephas.enums.modes import Mode
from elephas.spark_model import SparkModel
from elephas.utils.rdd_utils import to_simple_rdd
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from glasses_spark import GlassesSparkModel
from glasses_spark.errors import ConfigError, DataError, TrainingError
from tests.training.tiny import FEATURES, separable, tiny_estimator, tiny_model

X, Y = separable(40)
X = X.astype("float32")


def classes_model(**compile_settings: Any) -> Any:
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(3, activation="softmax", kernel_initializer="glorot_uniform"),
        ]
    )
    settings = {"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    model.compile(**{**settings, **compile_settings})
    return model


def image_model() -> Any:
    model = keras.Sequential(
        [keras.Input((2, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    )
    model.compile("sgd", "binary_crossentropy")
    return model


@pytest.mark.parametrize(
    ("mode", "frequency"),
    [
        (Mode.SYNCHRONOUS, Frequency.EPOCH),
        pytest.param("asynchronous", "batch", marks=pytest.mark.rotated),
        pytest.param(Mode.HOGWILD, "epoch", marks=pytest.mark.rotated),
    ],
)
def test_a_fit_trains_every_row_with_the_mode(
    spark: SparkSession, mode: str, frequency: str
) -> None:
    network = tiny_model()
    before = network.get_weights()
    model = GlassesSparkModel(network, num_workers=2, mode=mode, frequency=frequency)
    rdd = to_simple_rdd(spark.sparkContext, X, Y)

    model.fit(rdd, epochs=2, batch_size=8, verbose=0)

    assert isinstance(model, SparkModel)
    after = model.master_network.get_weights()
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    (history,) = model.training_histories
    assert set(history) == {"accuracy", "loss"}
    assert [len(values) for values in history.values()] == [2, 2]


def test_a_fit_gives_the_weights_of_the_estimator(spark: SparkSession) -> None:
    rdd = to_simple_rdd(spark.sparkContext, X, Y)
    frame = spark.createDataFrame(
        [(x.tolist(), float(y[0])) for x, y in zip(X, Y, strict=True)],
        "features array<float>, label double",
    )
    settings: dict[str, Any] = {"mode": "synchronous", "frequency": "epoch", "seed": 3}
    expected = tiny_estimator(verbose=0, split=0.25, **settings).fit(frame)

    model = GlassesSparkModel(tiny_model(), num_workers=2, batch_size=8, **settings)
    model.fit(rdd, epochs=2, verbose=0, validation_split=0.25)

    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(weight, other)
    record = expected.history[-1]
    assert model.training_histories[0]["val_loss"][-1] == record["val_loss"]


@pytest.mark.parametrize("rows", [0, 1, 2, 40])
def test_predictions_are_those_of_keras_in_the_order_of_the_rows(
    spark: SparkSession, rows: int
) -> None:
    model = GlassesSparkModel(classes_model(), num_workers=2)
    expected = model.master_network.predict(X, verbose=0)[:rows]
    for data in (X[:rows], spark.sparkContext.parallelize(list(X[:rows]), 3)):
        predictions = model.predict(data)
        assert isinstance(predictions, list)
        assert len(predictions) == rows
        assert all(row.shape == (3,) and row.dtype == np.float32 for row in predictions)
        if rows:
            np.testing.assert_allclose(predictions, expected, rtol=1e-5)


def test_rows_have_the_forms_that_users_have(spark: SparkSession) -> None:
    model, context = GlassesSparkModel(image_model(), batch_size=4), spark.sparkContext
    images = np.arange(24, dtype="uint8").reshape(4, 2, 3, 1)
    expected = model.master_network.predict(images, verbose=0)
    forms: list[list[Any]] = [
        [row.reshape(2, 3) for row in images],
        [row.ravel().tolist() for row in images],
        [Vectors.dense(row.ravel()) for row in images],
        [Vectors.sparse(6, range(6), row.ravel()) for row in images],
    ]
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-5)
    for form in forms:
        np.testing.assert_allclose(model.predict(context.parallelize(form)), expected, rtol=1e-5)
    labels = [1, 0.0, np.array([1]), np.float32(0)]
    model.fit(context.parallelize(list(zip(images, labels, strict=True))), verbose=0)


def test_labels_are_one_hot_or_class_numbers(spark: SparkSession) -> None:
    numbers = np.arange(40) % 3
    sparse = classes_model(loss="sparse_categorical_crossentropy")
    one_hot = classes_model()
    one_hot.set_weights(sparse.get_weights())
    histories = []
    for network, labels in ((sparse, numbers), (one_hot, np.eye(3)[numbers])):
        model = GlassesSparkModel(network, num_workers=1, batch_size=40)
        model.fit(to_simple_rdd(spark.sparkContext, X, labels), verbose=0)
        histories.append(model.training_histories[0])
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-5)


def test_evaluate_is_that_of_keras() -> None:
    network = classes_model(
        metrics=["accuracy", keras.metrics.AUC(), keras.metrics.F1Score(average="macro")]
    )
    labels = np.eye(3)[np.arange(40) % 3]
    found = GlassesSparkModel(network).evaluate(X, labels, batch_size=7)
    assert found == network.evaluate(X, labels, batch_size=7, verbose=0)
    network = classes_model(loss="sparse_categorical_crossentropy", metrics=[])
    numbers = np.arange(40) % 3
    found = GlassesSparkModel(network).evaluate(X, numbers)
    assert isinstance(found, float)
    assert found == network.evaluate(X, numbers, verbose=0)


def two_by_two() -> Any:
    row, image = keras.Input((3,), name="row"), keras.Input((2, 2), name="image")
    joined = keras.layers.Concatenate()([row, keras.layers.Flatten()(image)])
    price = keras.layers.Dense(1, name="price")(joined)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(joined)
    model = keras.Model([row, image], [price, kind])
    losses = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
    model.compile("sgd", losses, metrics={"kind": ["accuracy"]})
    return model


def test_what_is_set_in_place_of_the_compiled_settings_is_used() -> None:
    network = classes_model()
    labels = np.eye(3)[np.arange(40) % 3]
    model = GlassesSparkModel(network)
    model.master_loss, model.master_metrics, model.master_optimizer = "mse", ["mae"], "adam"
    found = model.evaluate(X, labels)
    same = keras.models.clone_model(network)
    same.set_weights(network.get_weights())
    same.compile("sgd", "mse", metrics=["mae"])
    assert found == same.evaluate(X, labels, verbose=0)
    assert type(model.master_optimizer).__name__ == "Adam"


def test_several_inputs_and_outputs(spark: SparkSession) -> None:
    network, context, random = two_by_two(), spark.sparkContext, np.random.default_rng(0)
    row, image = random.normal(size=(12, 3)), random.normal(size=(12, 2, 2))
    labels = np.column_stack([random.normal(size=12), np.arange(12) % 3])
    flat = np.concatenate([row, image.reshape(12, 4)], axis=1)
    as_lists: list[Any] = [list(pair) for pair in zip(row, image, strict=True)]
    as_mappings = [{"image": i, "row": r} for r, i in zip(row, image, strict=True)]
    expected = network.predict([row, image], verbose=0)
    model = GlassesSparkModel(network, num_workers=2, batch_size=4)

    for data in (flat, context.parallelize(as_lists), context.parallelize(as_mappings)):
        found = model.predict(data)
        assert [len(output) for output in found] == [12, 12]
        for output, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-6)
    y = [labels[:, :1], labels[:, 1:]]
    wanted = network.evaluate([row, image], y, verbose=0)
    assert model.evaluate(flat, labels) == model.evaluate([row, image], y) == wanted

    model.fit(to_simple_rdd(context, flat, labels), epochs=1, verbose=0)
    model.fit(context.parallelize(list(zip(as_mappings, labels.tolist(), strict=True))), verbose=0)
    first, second = model.training_histories
    assert set(first) == {"kind_accuracy", "kind_loss", "loss", "price_loss"}
    assert second["loss"][0] < first["loss"][0]


def test_what_is_no_pair_is_named(spark: SparkSession) -> None:
    model, context = GlassesSparkModel(tiny_model()), spark.sparkContext
    frame = spark.createDataFrame([(1.0,)], ["x"])
    with pytest.raises(ConfigError, match=r"fit: expected an RDD of pairs .* got DataFrame\. Use"):
        model.fit(frame)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"predict: expected an RDD of features .* got list$"):
        model.predict([1.0])  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="expected rows to train on, got none"):
        model.fit(context.emptyRDD(), verbose=0)
    with pytest.raises(Exception, match=r"expected an RDD of pairs .*got ndarray of the shape"):
        model.fit(context.parallelize(list(X)), verbose=0)
    with pytest.raises(Exception, match="features: expected 6 values in every row, got 5"):
        model.predict(X[:, :5])
    with pytest.raises(DataError, match="features: expected 6 values in every row, got 5"):
        model.evaluate(X[:, :5], Y)


def test_settings_are_checked_or_refused_by_name(spark: SparkSession) -> None:
    network = tiny_model()
    with pytest.raises(ConfigError, match="mode: expected one of"):
        GlassesSparkModel(network, mode="foobar")
    with pytest.raises(ConfigError, match="frequency: expected one of"):
        GlassesSparkModel(network, frequency="hour")
    with pytest.raises(ConfigError, match="has no setting 'frequncy'; did you mean frequency"):
        GlassesSparkModel(network, frequncy="batch")
    with pytest.raises(ConfigError, match="parameter_server_mode: expected one of http, socket"):
        GlassesSparkModel(network, parameter_server_mode="ftp")
    with pytest.raises(ConfigError, match="epochs: expected as an argument of fit"):
        GlassesSparkModel(network, epochs=3)
    with pytest.warns(UserWarning, match="no setting 'foo'; it stays in get_config"):
        model = GlassesSparkModel(network, foo="bar")
    assert model.get_config()["foo"] == "bar"
    rdd = to_simple_rdd(spark.sparkContext, X, Y)
    with pytest.raises(ConfigError, match="fit has no argument 'shuffle'"):
        model.fit(rdd, shuffle=False)
    with pytest.raises(ConfigError, match="batch_size: expected"):
        model.fit(rdd, batch_size=0)
    with pytest.raises(ConfigError, match="expected a compiled Keras model"):
        GlassesSparkModel(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    without_loss = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    without_loss.compile("sgd")
    with pytest.raises(ConfigError, match="expected a model compiled with a loss, got none"):
        GlassesSparkModel(without_loss).fit(rdd)
    one_hot = GlassesSparkModel(classes_model())
    with pytest.raises(ConfigError, match="class_weight needs labels of one number in a row"):
        one_hot.fit(rdd, class_weight={1.0: 2.0})


def test_metrics_in_the_place_of_keras_2_are_dropped_with_a_warning() -> None:
    network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse", ["mae"])
    with pytest.warns(UserWarning, match=r"loss_weights=\['mae'\] are no numbers"):
        model = GlassesSparkModel(network)
    assert isinstance(model.evaluate(X, Y), float)


def test_callbacks_and_settings_reach_the_fit(spark: SparkSession) -> None:
    epochs: list[int] = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: epochs.append(epoch))
    model = GlassesSparkModel(tiny_model(), num_workers=1, port=0, early_stopping=1)
    rdd = to_simple_rdd(spark.sparkContext, X, Y)
    model.fit(rdd, epochs=2, verbose=0, callbacks=[callback], validation_split=0.3)
    assert epochs
    with pytest.raises(TrainingError, match="early_stopping=1 needs validation rows"):
        model.fit(rdd, verbose=0)
