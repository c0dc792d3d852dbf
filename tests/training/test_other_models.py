"""Fits of models other than the demo's, on a Spark with two task slots, against plain Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import GlassesModel, build_estimator
from glasses_spark.errors import ConfigError, TrainingError

layers = keras.layers
ROWS = 24


@keras.saving.register_keras_serializable("tests")
class Registered(keras.layers.Layer):
    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class Forgetful(keras.layers.Layer):
    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return super().get_config()  # type: ignore[no-any-return]


class Adversarial(keras.Model):
    """Like a GAN: two optimizers in a step of its own."""

    def train_step(self, data: Any) -> Any:
        raise NotImplementedError


class Student(keras.Model):
    """Distillation with a loss of its own, by Keras' own hook."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        return keras.ops.mean(keras.ops.square(y_pred - 0.75))


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    generator = np.random.default_rng(3)
    x = generator.normal(5.0, 3.0, (ROWS, 4)).astype(np.float32)
    return x, (x[:, :1] > 5).astype(np.float32)


@pytest.fixture(scope="module")
def rows(spark: SparkSession, data: tuple[Any, Any]) -> DataFrame:
    x, y = data
    table = [(a.tolist(), float(b[0])) for a, b in zip(x, y, strict=True)]
    return spark.createDataFrame(table, "features array<float>, label double").cache()


def dense(*first: Any, kind: Any = None) -> Any:
    inputs = keras.Input((4,))
    x = inputs
    for layer in first:
        x = layer(x)
    outputs = layers.Dense(1, activation="sigmoid", kernel_initializer="ones")(x)
    model = (kind or keras.Model)(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return model


def fit(model: Any, rows: DataFrame, **options: Any) -> GlassesModel:
    """Fit in one batch for each epoch: the order of the rows does not matter."""
    estimator = build_estimator(
        model, 2, ROWS, categorical=False, num_workers=1, mode="synchronous", **options
    )
    fitted: GlassesModel = estimator.fit(rows)
    return fitted


def assert_as_keras(model: Any, rows: DataFrame, data: tuple[Any, Any], **options: Any) -> None:
    """Fit with Spark and then with Keras, and compare weights, history and predictions."""
    x, y = data
    fitted = fit(model, rows, **options)
    history = model.fit(x, y, batch_size=ROWS, epochs=2, shuffle=False, verbose=0).history
    for ours, plain in zip(fitted.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)
    for name, values in history.items():
        np.testing.assert_allclose([e[name] for e in fitted.history], values, rtol=1e-5)
    scored = {tuple(r.features): r.prediction for r in fitted.transform(rows).collect()}
    predicted = model.predict(x, verbose=0)
    ours = np.array([np.ravel(scored[tuple(map(float, row))])[0] for row in x])
    np.testing.assert_allclose(ours, predicted[:, 0], rtol=1e-4, atol=1e-6)


def adapted(x: Any) -> Any:
    layer = layers.Normalization()
    layer.adapt(x)
    return layer


@pytest.mark.slow
def test_a_normalization_after_adapt(
    rows: DataFrame, data: tuple[Any, Any], tmp_path: Any, spark: SparkSession
) -> None:
    model = dense(adapted(data[0]))
    assert_as_keras(model, rows, data)

    fitted = fit(dense(adapted(data[0])), rows)
    fitted.save((tmp_path / "model").as_uri())
    loaded = GlassesModel.load((tmp_path / "model").as_uri())
    first, second = (
        [np.ravel(row.prediction)[0] for row in each.transform(rows).collect()]
        for each in (fitted, loaded)
    )
    assert first == second
    predicted = fitted.keras_model().predict(data[0], verbose=0)[:, 0]
    np.testing.assert_allclose(np.sort(first), np.sort(predicted), rtol=1e-5)


@pytest.mark.slow
def test_classes_of_the_user_work_without_being_named(
    rows: DataFrame, data: tuple[Any, Any]
) -> None:
    class Local(Registered):
        pass

    def doubled(x: Any) -> Any:
        return 2 * x

    assert_as_keras(
        dense(
            Registered(0.5),
            Local(0.25),
            layers.Dense(3, activation=doubled, kernel_initializer="ones"),
        ),
        rows,
        data,
    )


@pytest.mark.slow
def test_a_loss_of_the_model_itself_is_used(rows: DataFrame, data: tuple[Any, Any]) -> None:
    assert_as_keras(dense(kind=Student), rows, data)


@pytest.mark.slow
def test_a_loss_whose_config_is_incomplete(rows: DataFrame, data: tuple[Any, Any]) -> None:
    model = dense()
    model.compile(keras.optimizers.SGD(0.1), keras.losses.Huber(delta=0.05))
    assert_as_keras(model, rows, data)


@pytest.mark.slow
def test_a_lambda_layer_needs_the_consent_of_the_user(
    rows: DataFrame, data: tuple[Any, Any]
) -> None:
    def model() -> Any:
        return dense(layers.Lambda(lambda x: 0.1 * x))

    with pytest.raises(TrainingError, match="safe_mode=False"):
        build_estimator(model(), 1, 8, categorical=False)
    assert_as_keras(model(), rows, data, safe_mode=False)


def test_a_model_with_its_own_training_step_is_refused() -> None:
    with pytest.raises(TrainingError, match="Adversarial has its own train_step"):
        build_estimator(dense(kind=Adversarial), 1, 8, categorical=False)


def test_a_layer_that_loses_an_argument_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"\(Forgetful\) loses factor"):
        build_estimator(dense(Forgetful(0.5)), 1, 8, categorical=False)


def test_a_layer_that_changes_its_kernel_while_it_computes_is_refused() -> None:
    model = dense(layers.SpectralNormalization(layers.Dense(3)))
    with pytest.raises(TrainingError, match="changes while the model computes"):
        build_estimator(model, 1, 8, categorical=False)


def test_a_model_that_runs_eagerly_is_refused() -> None:
    model = dense()
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ConfigError, match="run_eagerly"):
        build_estimator(model, 1, 8, categorical=False)


def test_a_model_without_inputs_is_refused() -> None:
    class Bare(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    model = Bare()
    model.compile("sgd", "mse")
    with pytest.raises(TrainingError, match="begin it with"):
        build_estimator(model, 1, 8, categorical=False)


@pytest.mark.slow
def test_integers_beyond_float32_stay_exact(spark: SparkSession) -> None:
    big = 2**24
    inputs = keras.Input((1,), dtype="int64")
    outputs = layers.Dense(1, kernel_initializer="ones")(keras.ops.cast(inputs - big, "float32"))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    x = np.array([[big + 1], [big + 3]])
    table = [([int(row[0])], float(number)) for number, row in enumerate(x)]
    rows = spark.createDataFrame(table, "features array<bigint>, label double")

    fitted = fit(model, rows)
    model.fit(x, np.array([[0.0], [1.0]]), batch_size=ROWS, epochs=2, shuffle=False, verbose=0)

    for ours, plain in zip(fitted.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-6)
    scored = {row.features[0]: row.prediction for row in fitted.transform(rows).collect()}
    predicted = model.predict(x, verbose=0)[:, 0]
    assert [scored[int(row[0])] for row in x] == pytest.approx(predicted.tolist(), rel=1e-6)
