"""Tests for glasses_spark.training.estimator, on a Spark with two task slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elephas.ml_model import ElephasEstimator, ElephasTransformer
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.tuning import ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import GlassesEstimator, GlassesModel
from glasses_spark.errors import ConfigError, TrainingError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import same_weights, separable, tiny_estimator, tiny_model


def test_the_classes_are_subclasses_of_those_of_elephas() -> None:
    assert issubclass(GlassesEstimator, ElephasEstimator)
    assert issubclass(GlassesModel, ElephasTransformer)


@pytest.mark.slow
def test_training_starts_from_the_weights_of_the_model(frame: DataFrame) -> None:
    model = tiny_model()
    model.set_weights([np.full(weight.shape, 0.25) for weight in model.get_weights()])
    model.optimizer.learning_rate = 0.0
    fitted = tiny_estimator(model=model, epochs=1).fit(frame)
    assert all((weight == 0.25).all() for weight in fitted.weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "frequency", ["batch", pytest.param("epoch", marks=pytest.mark.exhaustive)]
)
def test_the_learning_rate_of_a_grid_is_that_of_the_optimizer(
    frame: DataFrame, frequency: str
) -> None:
    keras = import_keras()

    def estimator(optimizer: Any) -> GlassesEstimator:
        model = tiny_model(optimizer=optimizer)
        return tiny_estimator(model=model, mode="synchronous", frequency=frequency, epochs=1)

    tuned = estimator("sgd")
    grid = ParamGridBuilder().addGrid(tuned.learning_rate, [0.5, 0.0]).build()
    by_rate, by_default = tuned.fit(frame, grid)

    assert same_weights(by_rate, estimator(keras.optimizers.SGD(0.5)).fit(frame))
    assert same_weights(by_default, tuned.fit(frame))
    assert not same_weights(by_rate, by_default)
    assert same_weights(tuned.fit(frame, {tuned.learning_rate: 0.5}), by_rate)


def used_model() -> Any:
    """A model that was trained, and whose biases do not decay."""
    optimizer = import_keras().optimizers.AdamW(0.02, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = tiny_model(optimizer=optimizer)
    x, y = separable(20)
    model.train_on_batch(x, y)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_training_continues_from_the_state_of_the_optimizer_also_after_loading(
    frame: DataFrame, tmp_path: Path, frequency: str
) -> None:
    keras = import_keras()
    iterations: list[int] = []
    watch: Any = keras.callbacks.LambdaCallback(
        on_train_end=lambda _: iterations.append(int(watch.model.optimizer.iterations))
    )
    settings = {"mode": "synchronous", "frequency": frequency, "num_workers": 1, "epochs": 1}
    estimator = tiny_estimator(model=used_model(), callbacks=[watch], **settings)
    fitted = estimator.fit(frame)
    assert iterations == [1 + 6]  # one step before, then 43 rows in batches of 8

    estimator.save(str(tmp_path / "estimator"))
    loaded = GlassesEstimator.load(str(tmp_path / "estimator"))
    assert same_weights(loaded.fit(frame), fitted)
    fresh = loaded.copy().set_optimizer_config(keras.optimizers.AdamW(0.02, weight_decay=0.5))
    assert not same_weights(fresh.fit(frame), fitted)


def test_an_optimizer_that_refers_to_a_model_needs_it() -> None:
    with pytest.raises(ConfigError, match=r"has updated the weights .* build_estimator\(model"):
        tiny_estimator().set_optimizer_config(used_model().optimizer)
    optimizer = import_keras().optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ConfigError, match=r"excludes weights from weight decay"):
        tiny_estimator().set_optimizer_config(optimizer)


def test_a_learning_rate_for_a_schedule_is_refused(frame: DataFrame) -> None:
    keras = import_keras()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    estimator = tiny_estimator(optimizer=keras.optimizers.SGD(schedule), learning_rate=0.5)
    with pytest.raises(TrainingError, match=r"learning_rate=0\.5 needs an optimizer with a const"):
        estimator.fit(frame)


def test_an_estimator_without_a_model_or_a_loss_is_refused(frame: DataFrame) -> None:
    with pytest.raises(ConfigError, match="keras_model_config: expected a value, got none"):
        GlassesEstimator().fit(frame)
    with pytest.raises(ConfigError, match="loss: expected a value, got none"):
        GlassesEstimator(keras_model_config=tiny_model().to_json()).fit(frame)


def test_a_missing_column_is_named(frame: DataFrame) -> None:
    with pytest.raises(Exception, match="features column 'pixels' not found"):
        tiny_estimator(featuresCol="pixels").fit(frame)


def test_a_copy_has_the_same_weights_and_callbacks() -> None:
    callback = import_keras().callbacks.Callback()
    estimator = tiny_estimator(callbacks=[callback])
    copied = estimator.copy({estimator.epochs: 7})
    assert copied.get_epochs() == 7
    assert copied.initial_weights is estimator.initial_weights
    assert copied.callbacks == (callback,)


def test_a_saved_estimator_is_loaded_with_its_settings_and_weights(
    spark: SparkSession, tmp_path: Path
) -> None:
    estimator = tiny_estimator(epochs=4, seed=9, learning_rate=0.25, class_weight={1.0: 2.0})
    estimator.save(str(tmp_path / "estimator"))
    loaded = GlassesEstimator.load(str(tmp_path / "estimator"))
    assert loaded.uid == estimator.uid
    assert loaded.get_epochs() == 4
    assert loaded.getSeed() == 9
    assert loaded.getOrDefault(loaded.learning_rate) == 0.25
    assert loaded.getOrDefault(loaded.class_weight) == {"1.0": 2.0}
    assert loaded.get_config() == estimator.get_config()
    weights, loaded_weights = estimator.initial_weights, loaded.initial_weights
    assert weights is not None
    assert loaded_weights is not None
    assert all(np.array_equal(a, b) for a, b in zip(weights, loaded_weights, strict=True))


@pytest.mark.slow
def test_a_pipeline_with_an_estimator_is_fitted_saved_and_loaded(
    frame: DataFrame, tmp_path: Path
) -> None:
    fitted = Pipeline(stages=[tiny_estimator(epochs=1)]).fit(frame)
    fitted.save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    fitted_rows, loaded_rows = (
        model.transform(frame).select("label", "prediction").collect() for model in (fitted, loaded)
    )
    assert fitted_rows == loaded_rows
    fitted_stage, loaded_stage = fitted.stages[0], loaded.stages[0]
    assert isinstance(fitted_stage, GlassesModel)
    assert isinstance(loaded_stage, GlassesModel)
    assert fitted_stage.history == loaded_stage.history


def test_an_estimator_whose_loss_json_cannot_describe_is_not_saved(
    tmp_path: Path, spark: SparkSession
) -> None:
    estimator = tiny_estimator(loss=import_keras().losses.Huber(delta=0.1))
    with pytest.raises(TrainingError, match="an estimator with Huber cannot be saved"):
        estimator.save((tmp_path / "estimator").as_uri())
