"""Train Keras models on Apache Spark with Elephas."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glasses_spark.config import Config
    from glasses_spark.pipeline import GlassesPipeline
    from glasses_spark.scoring.transformer import GlassesModel, load_ml_transformer
    from glasses_spark.training.elephas_factory import GrpcFactory
    from glasses_spark.training.estimator import (
        GlassesEstimator,
        build_estimator,
        load_ml_estimator,
    )
    from glasses_spark.training.model import build_cnn, build_model

__version__ = "0.1.0"

__all__ = [
    "Config",
    "GlassesEstimator",
    "GlassesModel",
    "GlassesPipeline",
    "GrpcFactory",
    "build_cnn",
    "build_estimator",
    "build_model",
    "load_ml_estimator",
    "load_ml_transformer",
]

# Resolved on first use: importing the package must neither start Java nor
# import TensorFlow, so that `glasses-spark --help` answers at once.
_HOMES = {
    "Config": "glasses_spark.config",
    "GlassesEstimator": "glasses_spark.training.estimator",
    "GlassesModel": "glasses_spark.scoring.transformer",
    "GlassesPipeline": "glasses_spark.pipeline",
    "GrpcFactory": "glasses_spark.training.elephas_factory",
    "build_cnn": "glasses_spark.training.model",
    "build_estimator": "glasses_spark.training.estimator",
    "build_model": "glasses_spark.training.model",
    "load_ml_estimator": "glasses_spark.training.estimator",
    "load_ml_transformer": "glasses_spark.scoring.transformer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
