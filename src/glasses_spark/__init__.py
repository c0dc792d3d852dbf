"""Train Keras models on Apache Spark with Elephas.

The names in ``__all__`` are the public interface, listed with examples in ``docs/api.md``.
Every module below this package is private: it may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glasses_spark.config import Config
    from glasses_spark.datasets.drawn.draw_faces import draw_faces
    from glasses_spark.datasets.drawn.labels import make_labels, write_labels
    from glasses_spark.errors import (
        ConfigError,
        DataError,
        DecodeError,
        FetchError,
        GlassesSparkError,
        ImagesError,
        LabelsError,
        ResultsError,
        ScoringError,
        SetupError,
        TrackingError,
        TrainingError,
        WorkerError,
    )
    from glasses_spark.evaluation.cross_validation import assign_folds
    from glasses_spark.evaluation.curves import make_curves
    from glasses_spark.evaluation.evaluator import GlassesEvaluator
    from glasses_spark.evaluation.metrics import add_predicted_label, evaluate
    from glasses_spark.evaluation.scores import collect_scores
    from glasses_spark.loading.dataset import load_dataset
    from glasses_spark.pipeline.pipeline import GlassesPipeline
    from glasses_spark.preprocessing.features import pixels_to_features, to_features
    from glasses_spark.preprocessing.pixels import to_pixels
    from glasses_spark.preprocessing.quarantine import quarantine_images
    from glasses_spark.preprocessing.split import split_by_id
    from glasses_spark.reports.notebook import show_curves, show_faces
    from glasses_spark.runs.tracking.mlflow_run import log_run
    from glasses_spark.runs.tracking.tensorboard import write_event_files
    from glasses_spark.runtime.keras import import_keras
    from glasses_spark.runtime.session import build_session, spark_session
    from glasses_spark.scorer.scorer import Score, Scorer
    from glasses_spark.scoring.model_file import load_ml_transformer
    from glasses_spark.scoring.transformer import GlassesModel
    from glasses_spark.training.build import build_estimator
    from glasses_spark.training.estimator import GlassesEstimator
    from glasses_spark.training.mllib_model import GlassesSparkMLlibModel
    from glasses_spark.training.model import build_cnn, build_model
    from glasses_spark.training.saved_spark_model import load_spark_model
    from glasses_spark.training.saving import load_ml_estimator
    from glasses_spark.training.server.elephas_factory import GrpcFactory
    from glasses_spark.training.spark_model import GlassesSparkModel

__version__ = "0.1.0"

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "DecodeError",
    "FetchError",
    "GlassesEstimator",
    "GlassesEvaluator",
    "GlassesModel",
    "GlassesPipeline",
    "GlassesSparkError",
    "GlassesSparkMLlibModel",
    "GlassesSparkModel",
    "GrpcFactory",
    "ImagesError",
    "LabelsError",
    "ResultsError",
    "Score",
    "Scorer",
    "ScoringError",
    "SetupError",
    "TrackingError",
    "TrainingError",
    "WorkerError",
    "add_predicted_label",
    "assign_folds",
    "build_cnn",
    "build_estimator",
    "build_model",
    "build_session",
    "collect_scores",
    "draw_faces",
    "evaluate",
    "import_keras",
    "load_dataset",
    "load_ml_estimator",
    "load_ml_transformer",
    "load_spark_model",
    "log_run",
    "make_curves",
    "make_labels",
    "pixels_to_features",
    "quarantine_images",
    "show_curves",
    "show_faces",
    "spark_session",
    "split_by_id",
    "to_features",
    "to_pixels",
    "write_event_files",
    "write_labels",
]

# Resolved on first use: importing the package must neither start Java nor import
# TensorFlow, so that `glasses-spark --help` answers at once.
_MODULES = {
    "config": ("Config",),
    "datasets.drawn.draw_faces": ("draw_faces",),
    "datasets.drawn.labels": ("make_labels", "write_labels"),
    "errors": (
        "ConfigError",
        "DataError",
        "DecodeError",
        "FetchError",
        "GlassesSparkError",
        "ImagesError",
        "LabelsError",
        "ResultsError",
        "ScoringError",
        "SetupError",
        "TrackingError",
        "TrainingError",
        "WorkerError",
    ),
    "evaluation.cross_validation": ("assign_folds",),
    "evaluation.curves": ("make_curves",),
    "evaluation.evaluator": ("GlassesEvaluator",),
    "evaluation.metrics": ("add_predicted_label", "evaluate"),
    "evaluation.scores": ("collect_scores",),
    "loading.dataset": ("load_dataset",),
    "pipeline.pipeline": ("GlassesPipeline",),
    "preprocessing.features": ("pixels_to_features", "to_features"),
    "preprocessing.pixels": ("to_pixels",),
    "preprocessing.quarantine": ("quarantine_images",),
    "preprocessing.split": ("split_by_id",),
    "reports.notebook": ("show_curves", "show_faces"),
    "runs.tracking.mlflow_run": ("log_run",),
    "runs.tracking.tensorboard": ("write_event_files",),
    "runtime.keras": ("import_keras",),
    "runtime.session": ("build_session", "spark_session"),
    "scorer.scorer": ("Score", "Scorer"),
    "scoring.model_file": ("load_ml_transformer",),
    "scoring.transformer": ("GlassesModel",),
    "training.build": ("build_estimator",),
    "training.estimator": ("GlassesEstimator",),
    "training.mllib_model": ("GlassesSparkMLlibModel",),
    "training.model": ("build_cnn", "build_model"),
    "training.saved_spark_model": ("load_spark_model",),
    "training.saving": ("load_ml_estimator",),
    "training.server.elephas_factory": ("GrpcFactory",),
    "training.spark_model": ("GlassesSparkModel",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from glasses_spark.runtime.hidden_modules import imports_explained

    with imports_explained():
        module = import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
