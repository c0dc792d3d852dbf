"""Defects of Elephas 7.3.0 and the behaviour of our classes in the same case.

Each test shows the defect in Elephas' class first, so that it fails if a later version of
Elephas has repaired the defect. Defects that take long to show are left out.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from elephas.ml_model import ElephasEstimator, ElephasTransformer
from elephas.utils.functional_utils import subtract_params
from elephas.utils.rdd_utils import encode_label
from elephas.worker import SparkWorker
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from glasses_spark import GlassesEstimator, GlassesModel
from glasses_spark.errors import ConfigError, ScoringError, TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.rows import LabelCode
from tests.training.server.test_coordinator import make_coordinator, push, task
from tests.training.tiny import FEATURES, separable, tiny_model
from tests.training.worker.threaded_fit import fit

pytestmark = pytest.mark.slow


def test_an_unknown_mode_is_refused() -> None:
    shipped = ElephasEstimator()
    shipped.set_mode("as fast as you can")
    assert shipped.get_mode() == "as fast as you can"

    with pytest.raises(ConfigError, match='mode: expected one of "synchronous"'):
        GlassesEstimator().set_mode("as fast as you can")


def test_a_worker_trains_with_no_more_rows_than_a_batch() -> None:
    x, y = separable(8)
    x = x.astype(np.float32)
    model = tiny_model()
    worker = SparkWorker(
        model.to_json(),
        SimpleNamespace(value=model.get_weights()),  # in place of a broadcast of Spark
        {"batch_size": 8, "epochs": 1, "verbose": 0},
        import_keras().optimizers.serialize(model.optimizer),
        "binary_crossentropy",
        ["accuracy"],
        {},
    )
    ((deltas, history),) = worker.train(zip(x, y, strict=True))
    assert history is None
    assert not any(delta.any() for delta in deltas)

    before = model.get_weights()
    fit(model, x, y, workers=1, batch_size=8, epochs=1)
    after = model.get_weights()
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_estimators_config_contains_the_optimizer() -> None:
    optimizer = {"class_name": "SGD", "config": {"learning_rate": 0.5}}
    model = tiny_model()
    params = {
        "keras_model_config": model.to_json(),
        "loss": "binary_crossentropy",
        "metrics": ["accuracy"],
        "optimizer_config": optimizer,
    }
    shipped = ElephasEstimator(**params)
    assert "optimizer_config" not in shipped.get_config()

    ours = GlassesEstimator(**params)
    assert ours.get_config()["optimizer_config"] == optimizer


def test_labels_of_minus_one_are_refused() -> None:
    assert np.array_equal(encode_label(-1, 2), encode_label(1, 2))

    with pytest.raises(TrainingError, match="labels: expected"):
        LabelCode(2, 2).encode(np.array([[-1.0], [1.0]]), "float32")


def test_an_update_of_another_length_is_refused() -> None:
    weights = [np.ones(3), np.ones(2)]
    assert len(subtract_params(weights, [np.ones(3)])) == 1  # one weight is lost

    coordinator = make_coordinator(mode="asynchronous")
    shared_weights = coordinator.shared_weights
    before = shared_weights.vector()
    coordinator.join(task(0), "host")
    with pytest.raises(ValueError, match="broadcast"):
        shared_weights.apply(np.ones(shared_weights.layout.size - 1, np.float32), rows=1)
    assert np.array_equal(shared_weights.vector(), before)
    push(coordinator, 0, 1.0)  # the fit continues


def transformers() -> tuple[ElephasTransformer, GlassesModel]:
    model = tiny_model()
    params: dict[str, Any] = {
        "model_type": None,
        "featuresCol": "features",
        "labelCol": "label",
        "outputCol": "prediction",
        "keras_model_config": model.to_json(),
        "weights": model.get_weights(),
    }
    return ElephasTransformer(**params), GlassesModel(**params)


def test_an_existing_output_column_is_refused(spark: SparkSession) -> None:
    shipped, ours = transformers()
    row = (Vectors.dense(np.ones(FEATURES)), 1.0, 0.0)
    frame = spark.createDataFrame([row], ["features", "label", "prediction"])
    assert shipped.transform(frame).columns.count("prediction") == 2

    with pytest.raises(ScoringError, match="prediction"):
        ours.transform(frame)
