"""A small result of a run, for tests."""

from __future__ import annotations

from typing import Any
from unittest.mock import sentinel

import numpy as np

from glasses_spark.evaluation.curves import make_curves
from glasses_spark.evaluation.metrics import Metrics, metrics_of
from glasses_spark.evaluation.scores import Scores, scores_of
from glasses_spark.runs.result import Result


def make_history(epochs: int = 3, **metrics: Any) -> list[dict[str, Any]]:
    """Return a history, with the values of further metrics by epoch."""
    return [
        {"epoch": n, "loss": 0.8 / n, "accuracy": 1 - 0.3 / n, "rows": 80, "workers": []}
        | {name: values[n - 1] for name, values in metrics.items()}
        for n in range(1, epochs + 1)
    ]


def make_scores() -> Scores:
    """Return scores of 200 images, half of them with glasses."""
    generator = np.random.default_rng(3)
    label = np.arange(200) % 2
    return scores_of(label, np.clip(0.25 + 0.5 * label + generator.normal(0, 0.2, 200), 0, 1))


def make_metrics() -> Metrics:
    """Return the metrics of these scores."""
    return metrics_of(make_scores(), threshold=0.5)


def make_result(location: str = "runs/demo", **changes: Any) -> Result:
    """Return a result without model and predictions, unless they are among the changes."""
    fields: dict[str, Any] = {
        "train": make_metrics(),
        "test": make_metrics(),
        "validation": None,
        "curves": {"train": make_curves(make_scores()), "test": make_curves(make_scores())},
        "thresholds": None,
        "calibration": None,
        "data": {"images": 210, "used": 200, "undefined_label": 10},
        "timings": {"preprocess_s": 1.5, "total_s": 12.25},
        "history": make_history(val_loss=[0.9, 0.5, 0.4]),
        "model": sentinel.model,
        "predictions": sentinel.predictions,
        "location": location,
        "decoded": 200,
        "reused": 0,
    }
    return Result(**{**fields, **changes})
