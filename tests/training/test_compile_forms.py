"""Steps of workers for each form of Keras' compile, against ``keras.Model.train_on_batch``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark import build_estimator
from glasses_spark.errors import ConfigError, TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.gradients import absent_gradients
from glasses_spark.training.keras_objects import portable
from glasses_spark.training.metric_rules import metric_rules
from glasses_spark.training.metric_states import MetricStates
from glasses_spark.training.model_checks import require_mean_loss
from glasses_spark.training.weights import exchanged_variables
from glasses_spark.training.worker.spool import RowField, RowFormat
from glasses_spark.training.worker.steps import Steps
from tests.training.tiny import glorot

keras = import_keras()
layers, losses, metrics = keras.layers, keras.losses, keras.metrics
ROWS = 5
COLUMNS: dict[str, Any] = {"featuresCol": ["x", "y"], "labelCol": ["a", "b"]}


def two_of_each(*, as_mappings: bool = False, **compiled: Any) -> Any:
    """Build a model of a vector and whole numbers, with a number and three probabilities."""
    x, y = keras.Input((2,), name="x"), keras.Input((3,), name="y", dtype="int32")
    embedded = layers.Embedding(4, 2, embeddings_initializer=glorot(5))(y)
    joined = layers.Concatenate()([x, layers.Flatten()(embedded)])
    a = layers.Dense(1, name="a", kernel_initializer=glorot(1))(joined)
    b = layers.Dense(3, "softmax", name="b", kernel_initializer=glorot(2))(joined)
    if as_mappings:
        model = keras.Model({"x": x, "y": y}, {"b": b, "a": a})
    else:
        model = keras.Model([x, y], [a, b])
    model.compile(keras.optimizers.SGD(0.1), **compiled)
    return model


def data(*, sparse: bool = True) -> tuple[list[Any], list[Any], Any]:
    """Draw inputs, labels and weights."""
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 3, (ROWS, 1))
    return (
        [generator.normal(size=(ROWS, 2)).astype("f"), generator.integers(0, 4, (ROWS, 3))],
        [
            generator.normal(size=(ROWS, 1)).astype("f"),
            classes if sparse else np.eye(3, dtype="f")[classes[:, 0]],
        ],
        generator.uniform(0.5, 2, ROWS).astype("f"),
    )


def step_of_worker(model: Any, x: Any, y: Any, weight: Any) -> tuple[Any, dict[str, float]]:
    """Return weights and metrics after one step of the worker's own optimizer."""
    columns = COLUMNS if len(model.outputs) == 2 else {}
    estimator = build_estimator(model, 1, ROWS, categorical=False, frequency="epoch", **columns)
    driver_model, spec = estimator._build()
    features, labels = (
        tuple(RowField(str(v.dtype), v.shape[1]) for v in values) for values in (x, y)
    )
    form = RowFormat(features, labels, "float32")
    assert metric_rules(MetricStates(driver_model, form), workers=2).carried == ()
    steps = Steps(spec, form)
    steps.prepare_to_train(None)
    state = steps.train(x, y, weight)
    return steps.model.get_weights(), steps.states.results(state)


def assert_as_keras(model: Any, x: Any, y: Any, weight: Any) -> None:
    weights, results = step_of_worker(model, x, y, weight)
    before = model.get_weights()
    one = len(model.outputs) == 1
    is_mapping = isinstance(getattr(model, "_outputs_struct", None), dict)
    inputs, labels = (x[0], y[0]) if one else (x, y)
    if is_mapping:
        inputs, labels = dict(zip("xy", x, strict=True)), dict(zip("ab", y, strict=True))
    logs = model.train_on_batch(inputs, labels, sample_weight=weight, return_dict=True)
    assert list(results) == sorted(logs)
    assert results == pytest.approx({name: float(value) for name, value in logs.items()}, rel=1e-5)
    distance = max(np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=True))
    for ours, plain in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-6 * distance, rtol=1e-6)


SPARSE = "sparse_categorical_crossentropy"
EITHER = [
    {"loss": ["mse", SPARSE]},
    {"loss": {"b": SPARSE, "a": losses.Huber(delta=0.1)}, "loss_weights": {"a": 0.5, "b": 2.0}},
    {
        "loss": {"a": "mse", "b": None},
        "metrics": {"b": ["sparse_categorical_accuracy", metrics.SparseTopKCategoricalAccuracy(2)]},
    },
]
LISTS = [
    {"loss": ["mse", SPARSE], "loss_weights": [0.0, 3.0], "metrics": ["mae", ["accuracy"]]},
    {
        "loss": [None, losses.SparseCategoricalCrossentropy()],
        "metrics": [["mae", metrics.MeanSquaredError(name="error")], None],
        "weighted_metrics": {"b": "accuracy", "a": ["mae"]},
    },
]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("compiled", EITHER)
@pytest.mark.parametrize("as_mappings", [False, True])
def test_losses_and_metrics_by_name(compiled: dict[str, Any], as_mappings: bool) -> None:
    assert_as_keras(two_of_each(as_mappings=as_mappings, **compiled), *data())


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("compiled", LISTS)
def test_losses_and_metrics_in_the_order_of_the_outputs(compiled: dict[str, Any]) -> None:
    assert_as_keras(two_of_each(**compiled), *data())


def test_one_loss_is_that_of_all_outputs() -> None:
    model = two_of_each(loss="mse", weighted_metrics={"b": [metrics.AUC()]})
    assert_as_keras(model, *data(sparse=False))


@pytest.mark.parametrize("weights", [0.25, [3.0], {"a": 2.0}])
def test_the_weight_of_the_loss_of_one_output(weights: Any) -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(1, name="a")(inputs))
    loss = {"a": "mse"} if isinstance(weights, dict) else "mse"
    model.compile(keras.optimizers.SGD(0.1), loss, loss_weights=weights, metrics=["mae"])
    x, y, weight = data()
    assert_as_keras(model, x[:1], y[:1], weight)


def test_weights_behind_no_loss_get_no_step_and_no_weight_decay() -> None:
    model = two_of_each(loss=["mse", None])
    absent = absent_gradients(model)
    names = [variable.path for variable in exchanged_variables(model)[0]]
    assert [names[position] for position in sorted(absent)] == ["b/kernel", "b/bias"]
    model.compile("sgd", ["mse", SPARSE])
    assert absent_gradients(model) == frozenset()


def build(model: Any, **settings: Any) -> Any:
    return build_estimator(model, 1, ROWS, **{"categorical": False, **COLUMNS, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"featuresCol": "x"}, "featuresCol: .* each of the inputs x, y, got one column 'x'"),
        ({"featuresCol": {"x": "x", "z": "y"}}, "featuresCol: found z, the inputs .* are x, y"),
        ({"labelCol": ["a"]}, "labelCol: expected 2 columns, for the outputs a, b, got 1: a"),
        ({"labelCol": "a"}, "labelCol: expected a column for each of the outputs a, b, got one"),
        ({"outputCol": ["p"]}, "outputCol: expected 2 columns, for the outputs a, b, got 1: p"),
        ({"class_weight": {1.0: 2.0}}, "class_weight needs a model with one output, found a, b"),
        ({"rawPredictionCol": "raw"}, "rawPredictionCol needs a model with one output"),
        ({"categorical": True}, "categorical=True needs a model with one output"),
        ({"metrics": ["mae"]}, "metrics: expected 2, for the outputs a, b, got 1"),
        ({"loss": ["mse"]}, "loss: expected 2, for the outputs a, b, got 1"),
        ({"loss_weights": [1.0]}, "loss_weights: expected 2, for the outputs a, b, got 1"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(
    settings: dict[str, Any], message: str, compiled_model: Any
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(compiled_model, **settings)


@pytest.fixture(scope="module")
def compiled_model() -> Any:
    return two_of_each(loss=["mse", SPARSE])


def test_a_loss_of_one_output_that_is_no_mean_is_found() -> None:
    total = losses.SparseCategoricalCrossentropy(reduction="sum")
    for loss in (["mse", total], {"a": None, "b": total}):
        with pytest.raises(TrainingError, match="expected the reduction 'sum_over_batch_size'"):
            require_mean_loss(portable(loss, "loss"))


def test_nested_inputs_and_open_shapes_are_refused() -> None:
    x, y = keras.Input((2,), name="x"), keras.Input((2,), name="y")
    nested = keras.Model({"x": x, "more": [y]}, layers.Dense(1)(x + y))
    nested.compile("sgd", "mse")
    with pytest.raises(TrainingError, match="the model has 2 inputs and 1 outputs, and not each"):
        build(nested)
    z = keras.Input((None, 2), name="z")
    opened = keras.Model(z, layers.Dense(1)(layers.GlobalMaxPooling1D()(z)))
    opened.compile("sgd", "mse")
    with pytest.raises(TrainingError, match=r"input 'z': expected a shape without open sides"):
        build(opened)
