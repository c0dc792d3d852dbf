"""Tests that the history of one synchronous worker is that of plain Keras on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.metric_rules import metric_rules
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.schedule import Schedule, epoch_order
from glasses_spark.training.spark_job import epoch_record
from tests.training.tiny import FEATURES, glorot, row_format
from tests.training.worker.own_metrics import own_metrics
from tests.training.worker.threaded_fit import SEED, fit

ROWS, BATCH, EPOCHS = 22, 4, 2


def mean_of_the_batch(y: Any, p: Any) -> Any:
    """One number a batch, whatever its rows: Keras takes the mean over batches."""
    return import_keras().ops.mean(p)


def model_with(
    metrics: list[Any],
    weighted_metrics: list[Any] | None = None,
    *,
    outputs: int = 1,
    layer: str = "",
) -> Any:
    keras = import_keras()
    keras.saving.register_keras_serializable(package="test")(mean_of_the_batch)
    dense = own_metrics()[layer] if layer else keras.layers.Dense
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(4, activation="tanh", kernel_initializer=glorot(1)),
            dense(
                outputs,
                activation="sigmoid" if outputs == 1 else "softmax",
                kernel_initializer=glorot(2),
            ),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        "binary_crossentropy" if outputs == 1 else "categorical_crossentropy",
        metrics=metrics,
        weighted_metrics=weighted_metrics,
    )
    return model


def rows(count: int, outputs: int, *, seed: int) -> tuple[Any, Any, Any]:
    """Draw features, labels and weights."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, FEATURES)).astype(np.float32)
    y = generator.integers(0, max(2, outputs), count)
    labels = y[:, None] if outputs == 1 else np.eye(outputs)[y]
    return x, labels.astype(np.float32), generator.uniform(0.5, 2, count).astype(np.float32)


def histories(
    make_model: Any, *, frequency: str = "batch", weighted: bool, outputs: int = 1
) -> tuple[list[dict[str, float]], list[dict[str, Any]]]:
    """Return the histories of one worker and of plain Keras, with validation rows."""
    x, y, weights = rows(ROWS, outputs, seed=1)
    validation: tuple[Any, ...] = rows(9, outputs, seed=2)
    if not weighted:
        weights, validation = None, validation[:2]
    model = make_model()
    has_weights = MetricRules(weighted=weighted, validation_weighted=weighted)
    rules = metric_rules(MetricStates(model, row_format(labels=y.shape[1]), has_weights), workers=1)
    totals, states = fit(
        model,
        x,
        y,
        workers=1,
        frequency=frequency,
        epochs=EPOCHS,
        batch_size=BATCH,
        weights=weights,
        validation=validation,
        metric_rules=rules,
        labels=outputs,
    )
    schedule = Schedule("synchronous", frequency, EPOCHS, BATCH, (ROWS,), (9,))
    ours = [epoch_record(epoch, states, schedule).metrics for epoch in totals]
    keras_model, keras = make_model(), []
    for epoch in range(EPOCHS):
        order = epoch_order(ROWS, seed=SEED, worker=0, epoch=epoch)
        result = keras_model.fit(
            x[order],
            y[order],
            sample_weight=None if weights is None else weights[order],
            validation_data=validation,
            batch_size=BATCH,
            shuffle=False,
            verbose=0,
        )
        keras.append({name: values[0] for name, values in result.history.items()})
    return ours, keras


def with_validation(names: list[str]) -> list[str]:
    """Return the names of a history, which Keras sorts."""
    return sorted([*names, *(f"val_{name}" for name in names)])


def auc() -> Any:
    return import_keras().metrics.AUC(name="auc")


def own(name: str) -> Any:
    return own_metrics()[name]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frequency", "weighted"),
    [
        pytest.param("batch", True, id="batch-weighted"),
        pytest.param("epoch", False, id="epoch-plain"),
        pytest.param("batch", False, id="batch-plain", marks=pytest.mark.exhaustive),
        pytest.param("epoch", True, id="epoch-weighted", marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.parametrize(
    ("make_model", "names"),
    [
        pytest.param(
            lambda: model_with(
                ["binary_accuracy", "mse", "accuracy", "accuracy", auc()],
                ["accuracy", "mae", auc()],
            ),
            [
                "accuracy",
                "accuracy_1",
                "auc",
                "binary_accuracy",
                "loss",
                "mae",
                "mse",
                "weighted_accuracy",
                "weighted_auc",
            ],
            id="sums",
        ),
        pytest.param(
            lambda: model_with(
                [own("largest_error"), own("product"), "accuracy"], [own("last_batch")]
            ),
            ["accuracy", "largest_error", "last_batch", "loss", "product"],
            id="not_sums",
        ),
        pytest.param(
            lambda: model_with(["accuracy"], layer="watched_dense"),
            ["accuracy", "loss", "mean_output"],
            id="metric_of_a_layer",
        ),
    ],
)
def test_one_worker_has_the_history_of_keras(
    make_model: Any, names: list[str], frequency: str, weighted: bool
) -> None:
    ours, keras = histories(make_model, frequency=frequency, weighted=weighted)
    assert list(ours[0]) == list(keras[0]) == with_validation(names)
    for mine, expected in zip(ours, keras, strict=True):
        assert mine == {name: pytest.approx(value, abs=1e-6) for name, value in expected.items()}


@pytest.mark.slow
@pytest.mark.parametrize("names", [["largest_error", "product", "last_batch"], ["accuracy"]])
def test_a_worker_that_is_replaced_within_an_epoch_goes_on_with_its_metrics(
    names: list[str],
) -> None:
    def history(*, replaced: bool) -> list[dict[str, float]]:
        x, y, _ = rows(800, 1, seed=1)
        model = model_with([own(name) if name in own_metrics() else name for name in names])
        unweighted = MetricRules(weighted=False, validation_weighted=False)
        rules = metric_rules(MetricStates(model, row_format(), unweighted), workers=1)
        totals, states = fit(
            model, x, y, workers=1, epochs=2, metric_rules=rules, replaced=replaced
        )
        schedule = Schedule("synchronous", "batch", 2, 4, (800,), (0,))
        return [epoch_record(epoch, states, schedule).metrics for epoch in totals]

    undisturbed = history(replaced=False)
    assert history(replaced=True) == undisturbed
    assert undisturbed[0] != undisturbed[1]


@pytest.mark.slow
def test_a_weighted_metric_of_rows_without_weights_gets_none_as_in_keras() -> None:
    # With weights of 1 it would fail, or count the rows of a batch.
    ours, keras = histories(lambda: model_with([], [mean_of_the_batch]), weighted=False)
    assert list(ours[0]) == list(keras[0]) == with_validation(["loss", "mean_of_the_batch"])
    assert ours[1] == pytest.approx(keras[1], abs=1e-6)


@pytest.mark.slow
def test_a_metric_with_a_value_for_each_class_has_a_name_for_each() -> None:
    metrics = import_keras().metrics
    ours, keras = histories(
        lambda: model_with([metrics.F1Score(name="f1_score")], outputs=3),
        weighted=False,
        outputs=3,
    )
    names = ["f1_score", "f1_score_0", "f1_score_1", "f1_score_2", "loss"]
    assert list(ours[0]) == with_validation(names)
    for mine, expected in zip(ours, keras, strict=True):
        for prefix in ("", "val_"):
            by_class = np.asarray(expected[f"{prefix}f1_score"])
            assert by_class.shape == (3,)
            assert [mine[f"{prefix}f1_score_{i}"] for i in range(3)] == pytest.approx(
                by_class.tolist(), abs=1e-6
            )
            assert mine[f"{prefix}f1_score"] == pytest.approx(by_class.mean(), abs=1e-6)
