"""A small run, for tests of plots and of the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from glasses_spark.evaluation.curves import (
    Curves,
    HistogramBin,
    PrecisionRecallPoint,
    ReliabilityBin,
    RocPoint,
)
from glasses_spark.reports.gallery import Face, Gallery
from glasses_spark.reports.report import render_report
from tests.html_page import HOSTILE

CONFIG = """\
[split]
validation = 0.1

[training]
epochs = 3
mode = "asynchronous"
frequency = "batch"

[run]
seed = 7
"""

METRICS: dict[str, Any] = {
    "train": {"rows": 1891, "threshold": 0.5, "accuracy": 0.9942, "log_loss": 0.0287},
    "test": {
        "rows": 500,
        "threshold": 0.5,
        "accuracy": 0.994,
        "log_loss": 0.0309,
        "roc_auc": 0.9997,
        "tp": 280,
        "fn": 2,
        "fp": 1,
        "tn": 217,
        "intervals": {"accuracy": [0.9826, 0.9980], "roc_auc": None},
    },
    "data": {"images": 2400, "used": 2391, "undefined_label": 9},
    "store": {"decoded": 2391, "reused": 0},
    "timings": {"preprocess_s": 4.0, "fit_s": 39.44, "score_s": 3.1, "total_s": 47.0},
    "environment": {"cpus": 2, "packages": {"keras": "3.15.1"}},
    "digests": {"data": "0123456789abcdef", "weights": "fedcba9876543210"},
}


def history(workers: int = 2, *, validation: bool = True) -> list[dict[str, Any]]:
    """Return three epochs, as in ``history.json``."""
    return [
        {
            "epoch": epoch,
            "loss": 0.6 / epoch,
            "accuracy": 1 - 0.3 / epoch,
            **({"val_loss": 0.7 / epoch, "val_accuracy": 1 - 0.4 / epoch} if validation else {}),
            "rows": 100 * workers,
            "workers": [
                {
                    "worker": worker,
                    "rows": 100,
                    "seconds": 3.5 + worker / 10,
                    "waiting_seconds": 0.25,
                    "staleness": 0.5,
                }
                for worker in range(workers)
            ],
        }
        for epoch in (1, 2, 3)
    ]


def curves() -> Curves:
    """Return curves of a few points."""
    return Curves(
        roc=(RocPoint(0.0, 0.0, 1.1), RocPoint(0.0, 0.9, 0.8), RocPoint(1.0, 1.0, 0.0)),
        precision_recall=(PrecisionRecallPoint(0.0, 1.0, 1.1), PrecisionRecallPoint(1.0, 0.8, 0.2)),
        reliability=(ReliabilityBin(0.0, 0.5, 200, 0.1, 0.02), ReliabilityBin(0.5, 1, 90, 0.9, 1)),
        histogram=(HistogramBin(0.0, 0.5, 210, 2), HistogramBin(0.5, 1.0, 1, 280)),
    )


def gallery(count: int = 2, side: int = 32) -> Gallery:
    """Return faces of noise, the first with a hostile name, with evidence in the upper left."""
    random = np.random.default_rng(0)
    evidence = np.zeros((side, side), np.float32)
    evidence[: side // 4, : side // 4] = 1.5

    def face(number: int) -> Face:
        return Face(
            id=number,
            path=f"file:/faces/{HOSTILE if number == 0 else f'face-{number}.png'}",
            label=0.0,
            predicted_label=1.0,
            probability=0.875,
            picture=random.integers(0, 256, (side, side), np.uint8),
            evidence=evidence,
        )

    return Gallery(
        mistakes=tuple(face(number) for number in range(count)),
        uncertain=tuple(face(number) for number in range(count, 2 * count)),
    )


def render(**changes: Any) -> str:
    """Return the page of the run, with some arguments of `render_report` replaced."""
    arguments: dict[str, Any] = {
        "metrics": METRICS,
        "history": history(),
        "quarantine": [],
        "config": CONFIG,
        "curves": {"train": curves(), "test": curves()},
        "gallery": gallery(),
    }
    return render_report(**{**arguments, **changes})
