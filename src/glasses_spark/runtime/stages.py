"""Stages: Spark ML stages that check their DataFrame, and report Spark's errors as this library's.

An error of Spark is raised as one of this library, with its cause first; see `spark_errors`.
"""

from __future__ import annotations

from typing import Any

from pyspark.ml import Estimator, Transformer
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param

from glasses_spark.errors import ConfigError, ScoringError, TrainingError
from glasses_spark.runtime.frames import require_frame
from glasses_spark.runtime.spark_errors import spark_errors


class CheckedEstimator(Estimator[Any]):
    """Mixin of an estimator."""

    def fit(self, dataset: Any, params: Any = None) -> Any:
        """Train the model; see Spark ML's ``Estimator``.

        Args:
            dataset: DataFrame of the rows; no stream.
            params: Values of Params that replace those set, or a list of such mappings.

        Raises:
            ConfigError: ``dataset`` is not such a DataFrame, or a setting is not legal.
            TrainingError: The fit cannot start, or a step that makes the rows fails.
            WorkerError: A worker failed.
            SetupError: The workers' Python lacks this package, or Spark was stopped.
        """
        if not isinstance(params, dict | list | tuple | None):
            # As in fit(x, y). Otherwise the settings are checked before the DataFrame.
            require_frame(dataset, "fit")
        _require_params(params)
        with spark_errors(TrainingError, "the fit"):
            return super().fit(dataset, params)


class CheckedTransformer(Transformer):
    """Mixin of a transformer."""

    def transform(self, dataset: Any, params: Any = None) -> Any:
        """Add the predictions; see Spark ML's ``Transformer``.

        Args:
            dataset: DataFrame of the rows; may be a stream.
            params: Values of Params that replace those set.

        Raises:
            ConfigError: ``dataset`` is not a DataFrame.
            DataError: The features column is missing or has another type.
            ScoringError: The model cannot be applied, or an output column exists already.
            SetupError: Spark was stopped.
        """
        require_frame(dataset, "transform", stream=True)
        _require_params(params)
        with spark_errors(ScoringError, "transform"):
            return super().transform(dataset, params)


class CheckedEvaluator(Evaluator):
    """Mixin of an evaluator."""

    def evaluate(self, dataset: Any, params: Any = None) -> float:
        """Compute the metric; see Spark ML's ``Evaluator``.

        Args:
            dataset: DataFrame of the predictions; no stream.
            params: Values of Params that replace those set.

        Raises:
            ConfigError: ``dataset`` is not a DataFrame.
            ScoringError: The rows cannot be evaluated, or a step that makes them fails.
            SetupError: Spark was stopped.
        """
        require_frame(dataset, "evaluate")
        _require_params(params)
        with spark_errors(ScoringError, "the evaluation"):
            return super().evaluate(dataset, params)


def _require_params(params: Any) -> None:
    """Refuse names of Params, which Spark ML does not take in place of Params."""
    for mapping in params if isinstance(params, list | tuple) else [params or {}]:
        for param in mapping:
            if not isinstance(param, Param):
                raise ConfigError(
                    f"params: expected Params as the keys of a mapping, got {param!r}. Use "
                    "stage.getParam(name), or set the value before"
                )
