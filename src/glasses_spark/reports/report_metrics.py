"""Metric sections of the report: tables, confusion matrix, thresholds and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.columns import TEST, TRAIN, VALIDATION
from glasses_spark.notebook_html import number
from glasses_spark.reports.plots.curves import curve_plots

if TYPE_CHECKING:
    from glasses_spark.evaluation.curves import Curves

# The test set first, where narrow screens show it.
_PARTS: Final = {TEST: "test", VALIDATION: "validation", TRAIN: "training"}

# Names in metrics.json and their titles.
_METRICS: Final = {
    "rows": "images",
    "threshold": "threshold",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall (sensitivity)",
    "specificity": "specificity",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "roc_auc": "area under the ROC curve",
    "pr_auc": "area under the precision-recall curve",
    "log_loss": "log loss, nats per image",
    "stable_log_loss": "log loss from logits",
    "brier_score": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "tp": "true positives",
    "fn": "false negatives",
    "fp": "false positives",
    "tn": "true negatives",
}


def interval_bounds(part: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric, or None if it has none."""
    bounds = part.get("intervals", {}).get(name)
    return (bounds[0], bounds[1]) if bounds else None


def metrics_section(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of all metrics, with one column per part of the split.

    Args:
        metrics: Contents of ``metrics.json``.
    """
    parts = [part for part in _PARTS if part in metrics]

    def cell(part: str, name: str) -> dict[str, str]:
        interval = interval_bounds(metrics[part], name)
        return {
            "value": number(metrics[part].get(name)),
            "interval": f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
        }

    return {
        "parts": [_PARTS[part] for part in parts],
        "rows": [
            {"name": title, "cells": [cell(part, name) for part in parts]}
            for name, title in _METRICS.items()
            if any(name in metrics[part] for part in parts)
        ],
        "has_intervals": any(metrics[part].get("intervals") for part in parts),
    }


def confusion_section(test: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the confusion matrix of the test set, or None without confusion counts."""
    if not all(name in test for name in ("tp", "fp", "tn", "fn")):
        return None

    def row(label: str, cells: Sequence[tuple[int, str, bool]]) -> dict[str, Any]:
        total = sum(count for count, _, _ in cells)
        return {
            "label": label,
            "total": f"{total:,} images",
            "cells": [
                {
                    "count": f"{count:,}",
                    "name": name,
                    "correct": correct,
                    "share": round(count / total, 4) if total else 0,
                    "percent": f"{100 * count / total:.1f} %" if total else "-",
                }
                for count, name, correct in cells
            ],
        }

    positives = [(test["tp"], "true positives", True), (test["fn"], "false negatives", False)]
    negatives = [(test["fp"], "false positives", False), (test["tn"], "true negatives", True)]
    return {
        "threshold": number(test.get("threshold")),
        "rows": [row("glasses", positives), row("no glasses", negatives)],
    }


def thresholds_section(
    thresholds: Mapping[str, Any] | None,
) -> list[tuple[str, Any, Any, Any, Any]]:
    """Return one row per threshold with its results on the test set; empty without thresholds.

    Args:
        thresholds: Entry ``thresholds`` of ``metrics.json``, if present.
    """
    if not thresholds:
        return []
    choices = {"configured": thresholds["configured"]}
    choices |= {
        f"best {criterion.replace('_', ' ')}": choice
        for criterion, choice in thresholds["best"].items()
    }
    rows = []
    for name, choice in choices.items():
        test = choice["outcomes"][TEST]
        rows.append((name, choice["threshold"], test["accuracy"], test["fn"], test["fp"]))
    return rows


def curves_section(
    curves: Mapping[str, Curves] | None, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Return plots of the curves, with notes.

    Args:
        curves: Curves by part, ``test`` among them, if present.
        metrics: Contents of ``metrics.json``.
    """
    if not curves:
        return {"plots": [], "notes": ["This run has no curves."]}
    notes = [
        "How well the probabilities rank the images, and how well they match the observed "
        "frequencies.",
        *calibration_notes(metrics.get("calibration")),
    ]
    if not curves[TEST].roc:
        notes.append(
            "The ROC and precision-recall curves are undefined, because all test images have the "
            "same label."
        )
    return {"plots": curve_plots(curves, metrics), "notes": notes}


def calibration_notes(calibration: Mapping[str, Any] | None) -> list[str]:
    """Return sentences about the temperature and its effect; none without a calibration.

    Args:
        calibration: Entry ``calibration`` of ``metrics.json``, if present.
    """
    if not calibration:
        return []
    if calibration.get("temperature") is None:
        return ["The validation set determines no temperature: the probabilities are unchanged."]
    before, after = (
        calibration[when][TEST]["expected_calibration_error"] for when in ("before", "after")
    )
    return [
        f"The logits are divided by a temperature of {calibration['temperature']:.4f}, fitted on "
        f"{calibration['fitted_on']:,} validation images. This changes the expected calibration "
        f"error of the test set from {before:.4f} to {after:.4f}."
    ]
