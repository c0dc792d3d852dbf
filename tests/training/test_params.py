"""Tests for glasses_spark.training.params."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.tuning import ParamGridBuilder
from pyspark.sql import SparkSession

from glasses_spark import GlassesEstimator, GlassesModel
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras


def test_every_setting_has_a_param_with_a_description() -> None:
    estimator = GlassesEstimator()
    for name in ("learning_rate", "precision", "cpu_kernels", "stall_timeout", "epochs", "seed"):
        param = estimator.getParam(name)
        assert param.doc
        assert estimator.hasDefault(param)


def test_defaults_are_those_of_elephas_where_it_has_others_than_the_file() -> None:
    estimator = GlassesEstimator()
    assert estimator.get_batch_size() == 32
    assert estimator.get_frequency() == "epoch"
    assert estimator.get_num_workers() == "auto"
    assert estimator.getOrDefault(estimator.learning_rate) == 0.0
    assert estimator.getOrDefault(estimator.cpu_kernels) == "keras"
    assert estimator.getSeed() == 0


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("learning_rate", 1, 1.0),
        ("learning_rate", np.float32(0.5), 0.5),
        ("epochs", np.int64(3), 3),
        ("cpu_kernels", "auto", "auto"),
        ("class_weight", {1: 2}, {"1.0": 2.0}),
    ],
)
def test_values_are_kept_in_types_that_can_be_saved(name: str, value: Any, kept: Any) -> None:
    estimator = GlassesEstimator()
    estimator.set(estimator.getParam(name), value)
    stored = estimator.getOrDefault(name)
    assert stored == kept
    assert type(stored) is type(kept)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mode", "foobar", 'mode: expected one of "synchronous", "asynchronous", "hogwild", got'),
        ("learning_rate", -0.1, "learning_rate: expected a number >= 0, got -0.1"),
        ("cpu_kernels", "fast", 'cpu_kernels: expected one of "auto", "keras", got "fast"'),
        ("parameter_server_port", 70000, "parameter_server_port: expected a whole number from 0"),
        ("loss_weights", "half", "loss_weights: expected a number, or a list or mapping of num"),
        ("metrics", "accuracy", "metrics: expected a list of metrics"),
    ],
)
def test_a_wrong_value_is_refused_however_it_is_set(name: str, value: Any, message: str) -> None:
    estimator = GlassesEstimator()
    param = estimator.getParam(name)
    with pytest.raises(ConfigError, match=message):
        estimator.set(param, value)
    with pytest.raises(ConfigError, match=message):
        estimator.set_params(**{name: value})
    with pytest.raises(ConfigError, match=message):
        estimator.copy({param: value})
    assert not estimator.isSet(param)


def test_none_stands_for_the_default() -> None:
    estimator = GlassesEstimator(learning_rate=0.5)
    estimator.set(estimator.learning_rate, None)
    assert not estimator.isSet(estimator.learning_rate)
    assert estimator.getOrDefault(estimator.learning_rate) == 0.0


def test_a_grid_of_learning_rates_makes_one_copy_for_each() -> None:
    estimator = GlassesEstimator()
    grid = ParamGridBuilder().addGrid(estimator.learning_rate, [0.1, 0.5]).build()
    rates = [estimator.copy(values).getOrDefault("learning_rate") for values in grid]
    assert rates == [0.1, 0.5]
    assert not estimator.isSet(estimator.learning_rate)


def test_params_of_other_stages_do_not_change_a_copy(spark: SparkSession) -> None:
    assembler = VectorAssembler(inputCols=["a"], outputCol="features")
    estimator = GlassesEstimator(outputCol="score")
    copied = estimator.copy({assembler.outputCol: "other", estimator.epochs: 7})
    assert copied.getOutputCol() == "score"
    assert copied.get_epochs() == 7


def test_setters_of_elephas_return_the_estimator_and_check() -> None:
    estimator = GlassesEstimator()
    assert estimator.set_mode("hogwild").set_frequency("batch").set_epochs(3) is estimator
    assert estimator.set_batch_size(5).set_num_workers("auto").set_validation_split(0.25)
    assert (estimator.get_mode(), estimator.get_epochs(), estimator.get_batch_size()) == (
        "hogwild",
        3,
        5,
    )
    with pytest.raises(ConfigError, match="frequency: expected"):
        estimator.set_frequency("step")


def test_objects_of_keras_are_kept_serialized() -> None:
    keras = import_keras()
    estimator = GlassesEstimator().set_optimizer_config(keras.optimizers.SGD(0.5))
    assert estimator.get_optimizer_config()["class_name"] == "SGD"
    estimator.set_params(metrics=["accuracy", keras.metrics.AUC()])
    assert estimator.get_metrics()[0] == "accuracy"
    assert estimator.get_metrics()[1]["class_name"] == "AUC"


@pytest.mark.parametrize("stage", [GlassesEstimator, GlassesModel])
def test_each_param_has_the_methods_that_spark_ml_gives_its_own(stage: Any) -> None:
    made = stage()
    for param in made.params:
        suffix = "".join(part[:1].upper() + part[1:] for part in param.name.split("_"))
        assert callable(getattr(made, f"set{suffix}")), suffix
        assert callable(getattr(made, f"get{suffix}")), suffix
        if made.hasDefault(param):
            assert getattr(made, f"get{suffix}")() == made.getOrDefault(param)


def test_setters_of_spark_ml_return_the_estimator_and_check() -> None:
    estimator = GlassesEstimator()
    assert estimator.setLearningRate(0.5).setNumWorkers(3).setStallTimeout(7) is estimator
    assert (estimator.getLearningRate(), estimator.getNumWorkers()) == (0.5, 3)
    with pytest.raises(ConfigError, match="learning_rate: expected a number >= 0, got -1"):
        estimator.setLearningRate(-1)
    assert estimator.getLearningRate() == 0.5
    assert "learning rate" in str(GlassesEstimator.setLearningRate.__doc__).lower()


def test_several_params_are_set_by_their_names() -> None:
    estimator = GlassesEstimator(epochs=3)
    assert estimator.setParams(mode="hogwild", batch_size=5) is estimator
    assert (estimator.getMode(), estimator.getBatchSize(), estimator.getEpochs()) == (
        "hogwild",
        5,
        3,
    )
    model = GlassesModel().setParams(temperature=2.0)
    assert model.get_temperature() == 2.0


def test_the_constructor_names_its_arguments() -> None:
    parameters = inspect.signature(GlassesEstimator).parameters
    assert {param.name for param in GlassesEstimator().params} <= parameters.keys()
    assert {"initial_weights", "callbacks"} <= parameters.keys()
    assert parameters["frequency"].default == "epoch"
    for name in GlassesEstimator().params:
        assert parameters[name.name].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("call", [GlassesEstimator, lambda **v: GlassesEstimator().setParams(**v)])
def test_an_unknown_param_is_refused_by_name(call: Any) -> None:
    with pytest.raises(ConfigError, match="no Param 'lerning_rate'; did you mean learning_rate"):
        call(lerning_rate=0.1)
