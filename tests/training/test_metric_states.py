"""Tests for glasses_spark.training.metric_states."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.worker.spool import RowField, RowFormat
from glasses_spark.training.worker.steps import Steps
from tests.training.tiny import row_format, separable, spec_of, tiny_model


def test_states_of_batches_add_up_to_the_metrics_over_all_rows() -> None:
    keras = import_keras()
    model = tiny_model(metrics=["accuracy", keras.metrics.AUC(name="auc")])
    x, y = separable(20)
    x, y = x.astype(np.float32), y.astype(np.float32)
    weight = np.ones(20, np.float32)
    steps = Steps(spec_of(model), row_format())
    steps.model.set_weights(model.get_weights())

    state = sum(
        steps.evaluate([x[a:b]], [y[a:b]], weight[a:b]) for a, b in [(0, 7), (7, 8), (8, 20)]
    )
    metrics = steps.states.results(np.asarray(state))

    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert metrics.keys() == expected.keys() == {"loss", "accuracy", "auc"}
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, abs=1e-5)


# The last shape has as many rows as the smallest batch of examples.
@pytest.mark.parametrize("shape", [(4, 1), (4, 3, 1), (2, 2, 1)])
def test_weights_of_rows_are_refused_for_a_loss_with_several_values_each(
    shape: tuple[int, ...],
) -> None:
    keras = import_keras()
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    field = RowField("float32", int(np.prod(shape)))
    form = RowFormat((field,), (field,), "float32")

    with pytest.raises(TrainingError, match=r"weights of rows .* one for each step or pixel"):
        MetricStates(model, form)
    assert MetricStates(model, form, MetricRules(weighted=False, validation_weighted=False)).size
