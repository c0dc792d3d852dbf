"""Tests for the functions that compute with TensorFlow in Spark's workers.

TensorFlow keeps the code of each of them for good, see runtime/kernel_cache.py.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pyspark.sql import SparkSession

from glasses_spark import GlassesModel
from glasses_spark.scoring.udf import scoring_function
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.task_host import hosted_fit
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.task import training_task
from tests.pickled import has_code
from tests.training.tiny import tiny_model

# In place of what the functions only pass on.
ANYTHING: Any = SimpleNamespace()


def test_code_is_seen() -> None:
    assert has_code(lambda: None)
    assert not has_code(has_code)


def test_the_tasks_of_a_fit_are_sent_as_names() -> None:
    assignment = Assignment(
        spec=ANYTHING,
        layout=ANYTHING,
        schedule=Schedule("asynchronous", "batch", 1, 4, (1,), (0,)),
        row_format=ANYTHING,
        label_codes=(),
        address=ANYTHING,
        seed=0,
        tasks=1,
        threads=1,
    )
    assert not has_code(training_task(assignment, ANYTHING))
    assert not has_code(hosted_fit(ANYTHING))


def test_the_functions_that_score_are_sent_as_names(spark: SparkSession) -> None:
    assert not has_code(scoring_function(ANYTHING, ANYTHING, ANYTHING))
    network = tiny_model()
    model = GlassesModel(keras_model_config=network.to_json(), weights=network.get_weights())
    function = model.predict_udf(spark=spark).func
    assert function.__name__ == "predict"
    assert not has_code(function)
