"""Tests for glasses_spark.training.metric_states."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
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
