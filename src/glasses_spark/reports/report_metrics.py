"""Report, metrics: tables, confusion counts, thresholds and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.reports.plots.curves import curve_plots

if TYPE_CHECKING:
    from glasses_spark.evaluation.curves import Curves

# What counts comes first, where narrow screens show it.
_PARTS: Final = ("test", "validation", "train")

# From the names of metrics.json to words.
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
    "pr_auc": "area under precision over recall",
    "log_loss": "log loss, nats an image",
    "stable_log_loss": "log loss from logits",
    "brier_score": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "tp": "glasses, found",
    "fn": "glasses, missed",
    "fp": "no glasses, taken for some",
    "tn": "no glasses, seen as such",
}


def interval_text(part: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    found = part.get("intervals", {}).get(name)
    return (found[0], found[1]) if found else None


def metrics_table_rows(metrics: Mapping[str, Any]) -> dict[str, Any]:
    parts = [part for part in _PARTS if part in metrics]

    def cell(part: str, name: str) -> dict[str, str]:
        interval = interval_text(metrics[part], name)
        return {
            "value": value_text(metrics[part].get(name)),
            "interval": f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
        }

    return {
        "parts": parts,
        "rows": [
            {"name": words, "cells": [cell(part, name) for part in parts]}
            for name, words in _METRICS.items()
            if any(name in metrics[part] for part in parts)
        ],
        "has_intervals": any(metrics[part].get("intervals") for part in parts),
    }


def confusion_section(test: Mapping[str, Any]) -> dict[str, Any] | None:
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
                    "words": words,
                    "right": right,
                    "share": round(count / total, 4) if total else 0,
                    "percent": f"{100 * count / total:.1f} %" if total else "-",
                }
                for count, words, right in cells
            ],
        }

    return {
        "threshold": value_text(test.get("threshold")),
        "rows": [
            row("glasses", [(test["tp"], "found", True), (test["fn"], "missed", False)]),
            row("no glasses", [(test["fp"], "false alarm", False), (test["tn"], "right", True)]),
        ],
    }


def thresholds_section(found: Mapping[str, Any] | None) -> list[tuple[str, Any, Any, Any, Any]]:
    """A row a threshold, what it gives on the test images; none where none was chosen."""
    if not found:
        return []
    choices = {"as configured": found["configured"]}
    choices |= {f"best {name.replace('_', ' ')}": one for name, one in found["best"].items()}
    rows = []
    for name, choice in choices.items():
        test = choice["outcomes"]["test"]
        rows.append((name, choice["threshold"], test["accuracy"], test["fn"], test["fp"]))
    return rows


def _calibration(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    if found.get("temperature") is None:
        return ["The validation images tell no temperature: the probabilities are as they were."]
    before, after = (
        found[when]["test"]["expected_calibration_error"] for when in ("before", "after")
    )
    return [
        f"The logits were divided by a temperature of {found['temperature']:.4f}, found on "
        f"{found['fitted_on']:,} validation images: the expected calibration error of the test "
        f"images was {before:.4f} and is {after:.4f}."
    ]


def curves_section(
    curves: Mapping[str, Curves] | None, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    if not curves:
        return {"plots": [], "notes": ["This run has no curves."]}
    plots = curve_plots(curves, metrics)
    notes = [
        "How well the probabilities rank the images, and whether they can be taken at their word.",
        *_calibration(metrics.get("calibration")),
    ]
    if not curves["test"].roc:
        notes.append(
            "All test images have one label, so there is neither a ROC curve nor precision over "
            "recall: give images of both labels."
        )
    return {"plots": plots, "notes": notes}


def value_text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
