"""Tests for glasses_spark.training.metric_rules, with all metrics of Keras and some others."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.metric_rules import metric_rules
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.worker.steps import Steps
from tests.training.tiny import FEATURES, row_format, spec_of
from tests.training.worker.own_metrics import own_metrics

# Kinds of models: outputs, numbers in a label.
BINARY: Final = (1, 1)
ONE_HOT: Final = (3, 3)
CLASS_NUMBER: Final = (3, 1)
REGRESSION: Final = (2, 2)

# Each metric of Keras with the kind of a model that it is for, and its arguments.
METRICS: Final[Mapping[str, tuple[tuple[int, int], dict[str, Any]]]] = {
    "AUC": (BINARY, {}),
    "Accuracy": (BINARY, {}),
    "BinaryAccuracy": (BINARY, {}),
    "BinaryCrossentropy": (BINARY, {}),
    "BinaryIoU": (BINARY, {}),
    "CategoricalAccuracy": (ONE_HOT, {}),
    "CategoricalCrossentropy": (ONE_HOT, {}),
    "CategoricalHinge": (ONE_HOT, {}),
    "ConcordanceCorrelation": (REGRESSION, {}),
    "CosineSimilarity": (REGRESSION, {}),
    "F1Score": (ONE_HOT, {}),
    "FBetaScore": (ONE_HOT, {"average": "macro"}),
    "FalseNegatives": (BINARY, {}),
    "FalsePositives": (BINARY, {"thresholds": [0.25, 0.75]}),
    "Hinge": (BINARY, {}),
    "IoU": (CLASS_NUMBER, {"num_classes": 3, "target_class_ids": [0, 2], "sparse_y_pred": False}),
    "KLDivergence": (ONE_HOT, {}),
    "LogCoshError": (REGRESSION, {}),
    "Mean": (BINARY, {}),
    "MeanAbsoluteError": (REGRESSION, {}),
    "MeanAbsolutePercentageError": (REGRESSION, {}),
    "MeanIoU": (CLASS_NUMBER, {"num_classes": 3, "sparse_y_pred": False}),
    "MeanMetricWrapper": (BINARY, {"fn": "mse"}),
    "MeanSquaredError": (REGRESSION, {}),
    "MeanSquaredLogarithmicError": (REGRESSION, {}),
    "OneHotIoU": (ONE_HOT, {"num_classes": 3, "target_class_ids": [1]}),
    "OneHotMeanIoU": (ONE_HOT, {"num_classes": 3}),
    "PearsonCorrelation": (REGRESSION, {}),
    "Poisson": (REGRESSION, {}),
    "Precision": (BINARY, {}),
    "PrecisionAtRecall": (BINARY, {"recall": 0.5}),
    "R2Score": (REGRESSION, {}),
    "Recall": (BINARY, {}),
    "RecallAtPrecision": (BINARY, {"precision": 0.5}),
    "RootMeanSquaredError": (REGRESSION, {}),
    "SensitivityAtSpecificity": (BINARY, {"specificity": 0.5}),
    "SparseCategoricalAccuracy": (CLASS_NUMBER, {}),
    "SparseCategoricalCrossentropy": (CLASS_NUMBER, {}),
    "SparseTopKCategoricalAccuracy": (CLASS_NUMBER, {"k": 2}),
    "SpecificityAtSensitivity": (BINARY, {"sensitivity": 0.5}),
    "SquaredHinge": (BINARY, {}),
    "Sum": (BINARY, {}),
    "TopKCategoricalAccuracy": (ONE_HOT, {"k": 2}),
    "TrueNegatives": (BINARY, {}),
    "TruePositives": (BINARY, {}),
}

# Not for compile(): they take values, or have no state of their own.
NO_COMPILED_METRIC: Final = ("Mean", "MeanMetricWrapper", "Metric", "Sum")

# The options with another state or another result than the default.
OPTIONS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "auc_multi_label": ("AUC", {"multi_label": True, "num_labels": 1}),
    "auc_pr": ("AUC", {"curve": "PR", "num_thresholds": 7}),
    "auc_from_logits": ("AUC", {"from_logits": True}),
    "precision_top_k": ("Precision", {"top_k": 1}),
    "recall_class": ("Recall", {"class_id": 0}),
    "float64": ("AUC", {"dtype": "float64"}),
    "f1_micro": ("F1Score", {"average": "micro", "threshold": 0.4}),
    "r2_by_output": ("R2Score", {"class_aggregation": None}),
    "pearson_of_a_batch": ("PearsonCorrelation", {"axis": 0}),
    "cosine_of_a_batch": ("CosineSimilarity", {"axis": 0}),
    "iou_ignoring": (
        "IoU",
        {
            "num_classes": 3,
            "target_class_ids": [0, 1],
            "sparse_y_pred": False,
            "ignore_class": 2,
        },
    ),
}
CASES: Final = {
    **{name: (name, arguments) for name, (_, arguments) in METRICS.items()},
    **OPTIONS,
}


def metric_of(case: str) -> Any:
    name, arguments = CASES[case]
    return getattr(import_keras().metrics, name)(**arguments, name=case)


def model_of(kind: tuple[int, int], *metrics: Any, weighted_metrics: Any = ()) -> Any:
    """Build a compiled model of one dense layer."""
    keras = import_keras()
    outputs, labels = kind
    activation = "sigmoid" if kind in (BINARY, REGRESSION) else "softmax"
    initializer = keras.initializers.GlorotUniform(seed=1)
    dense = keras.layers.Dense(outputs, activation=activation, kernel_initializer=initializer)
    model = keras.Sequential([keras.Input((FEATURES,)), dense])
    loss = "mse" if labels == outputs else "sparse_categorical_crossentropy"
    model.compile(
        "sgd", loss, metrics=list(metrics), weighted_metrics=list(weighted_metrics) or None
    )
    return model


def rules_of(model: Any, kind: tuple[int, int] = BINARY, *, workers: int = 1) -> MetricRules:
    return metric_rules(MetricStates(model, row_format(labels=kind[1])), workers=workers)


def test_every_metric_of_keras_is_known() -> None:
    metrics = import_keras().metrics
    classes = {
        name
        for name, member in inspect.getmembers(metrics, inspect.isclass)
        if issubclass(member, metrics.Metric)
    }
    assert classes == METRICS.keys() | {"Metric"}


KINDS: Final = pytest.mark.parametrize("kind", [BINARY, ONE_HOT, CLASS_NUMBER, REGRESSION], ids=str)
# The other two differ in the metrics alone, each of which has a case in tests/conformance.
SOME_KINDS: Final = pytest.mark.parametrize(
    "kind",
    [
        CLASS_NUMBER,
        REGRESSION,
        *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in (BINARY, ONE_HOT)),
    ],
    ids=str,
)

# Keras warns of weights with fractions for the counts of IoU, which are whole numbers.
COUNTS: Final = pytest.mark.filterwarnings("ignore:You are passing weight as `float`")


def metrics_of(kind: tuple[int, int], *, of_a_batch: bool) -> list[Any]:
    """Return new metrics for a kind of model.

    Args:
        kind: Kind of the model.
        of_a_batch: Whether to include those with one number a batch, which take no weights.
    """
    return [
        metric_of(case)
        for case, (name, _) in CASES.items()
        if METRICS[name][0] == kind
        and name not in NO_COMPILED_METRIC
        and (of_a_batch or not case.endswith("of_a_batch"))
    ]


@COUNTS
@KINDS
def test_the_state_of_each_metric_of_keras_is_a_sum(kind: tuple[int, int]) -> None:
    model = model_of(
        kind,
        *metrics_of(kind, of_a_batch=True),
        weighted_metrics=metrics_of(kind, of_a_batch=False),
    )
    assert rules_of(model, kind, workers=8).carried == ()


@pytest.mark.slow
@COUNTS
@SOME_KINDS
def test_summed_states_give_the_results_of_evaluate(kind: tuple[int, int]) -> None:
    metrics, weighted = (metrics_of(kind, of_a_batch=False) for _ in range(2))
    model = model_of(kind, *metrics, weighted_metrics=weighted)
    generator = np.random.default_rng(2)
    x = generator.normal(size=(20, FEATURES)).astype(np.float32)
    labels: Any = generator.integers(0, 3 if kind == CLASS_NUMBER else 2, (20, kind[1]))
    if kind == REGRESSION:
        labels = generator.uniform(0, 2, (20, kind[1]))
    y, weight = labels.astype(np.float32), generator.uniform(0.5, 2, 20).astype(np.float32)
    steps = Steps(spec_of(model), row_format(labels=kind[1]))
    steps.model.set_weights(model.get_weights())

    parts = [slice(0, 7), slice(7, 8), slice(8, 20)]
    state = sum(steps.evaluate([x[part]], [y[part]], weight[part]) for part in parts)
    results = steps.states.results(np.asarray(state))

    expected = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    assert {name: results[name] for name in expected} == {
        name: pytest.approx(np.mean(value), rel=1e-5, abs=1e-6) for name, value in expected.items()
    }
    assert len(expected) == 1 + 2 * len(metrics)


@pytest.mark.parametrize("name", ["largest_error", "last_batch", "product", "starts_at_one"])
def test_a_metric_whose_state_is_not_a_sum_is_for_one_worker(name: str) -> None:
    model = model_of(BINARY, "accuracy", own_metrics()[name]())
    assert rules_of(model).carried == (name,)
    message = rf"^metric '{name}': expected a state that is a sum .* which 2 workers can add"
    with pytest.raises(TrainingError, match=message):
        rules_of(model, workers=2)


def test_an_own_metric_whose_state_is_a_sum_is_for_all_workers() -> None:
    def largest_of_the_batch(y: Any, p: Any) -> Any:
        return import_keras().ops.max(p - y)

    model = model_of(BINARY, own_metrics()["rows_seen"](), largest_of_the_batch)
    assert rules_of(model, workers=3).carried == ()


def test_a_metric_of_a_layer_is_for_one_worker() -> None:
    keras = import_keras()
    model = keras.Sequential(
        [keras.Input((FEATURES,)), own_metrics()["watched_dense"](1, name="watched")]
    )
    model.compile("sgd", "mse")
    assert rules_of(model).carried == ("mean_output",)
    with pytest.raises(TrainingError, match=r"^metric 'mean_output': expected a state that is a"):
        rules_of(model, workers=2)


def test_a_metric_that_is_not_reset_is_refused() -> None:
    model = model_of(BINARY, own_metrics()["never_reset"]())
    with pytest.raises(TrainingError, match=r"^metric 'never_reset': expected reset_state to set"):
        rules_of(model)


def test_a_metric_without_variables_is_refused() -> None:
    model = model_of(BINARY, own_metrics()["no_variables"]())
    with pytest.raises(TrainingError, match=r"^metric 'no_variables': expected a state in vari"):
        rules_of(model)


@pytest.mark.parametrize("name", ["f1_score_1", "epoch", "rows", "workers"])
def test_a_name_that_the_history_uses_otherwise_is_refused(name: str) -> None:
    metrics = import_keras().metrics
    model = model_of(ONE_HOT, metrics.F1Score(), metrics.CategoricalAccuracy(name=name))
    with pytest.raises(TrainingError, match=rf"^metric '{name}': expected a name that nothing"):
        rules_of(model, ONE_HOT)


def test_the_experiment_leaves_no_trace_in_the_metrics() -> None:
    model = model_of(BINARY, "accuracy", own_metrics()["largest_error"]())
    rules_of(model)
    assert all(
        not variable.numpy().any() for metric in model.metrics for variable in metric.variables
    )
