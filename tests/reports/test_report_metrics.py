"""Tests for glasses_spark.reports.report_metrics."""

from __future__ import annotations

from typing import Any

from glasses_spark.evaluation.curves import Curves
from glasses_spark.reports.report_metrics import (
    confusion_section,
    curves_section,
    metrics_section,
    thresholds_section,
)
from tests.html_page import Page
from tests.reports import pages
from tests.reports.pages import METRICS, render


def test_the_test_set_is_the_first_column_and_intervals_are_below_their_metric() -> None:
    section = metrics_section(METRICS)

    assert section["parts"] == ["test", "training"]
    assert section["has_intervals"]
    rows = {row["name"]: row["cells"] for row in section["rows"]}
    assert rows["accuracy"] == [
        {"value": "0.9940", "interval": "0.9826 to 0.9980"},
        {"value": "0.9942", "interval": ""},
    ]
    assert [cell["value"] for cell in rows["false negatives"]] == ["2", "-"]
    assert "F1" not in rows


def test_the_confusion_matrix_has_counts_and_percentages_of_each_label() -> None:
    section = confusion_section(METRICS["test"])
    assert section is not None

    glasses, no_glasses = section["rows"]
    assert (glasses["label"], glasses["total"]) == ("glasses", "282 images")
    assert [(cell["count"], cell["name"], cell["percent"]) for cell in glasses["cells"]] == [
        ("280", "true positives", "99.3 %"),
        ("2", "false negatives", "0.7 %"),
    ]
    assert [(cell["count"], cell["name"]) for cell in no_glasses["cells"]] == [
        ("1", "false positives"),
        ("217", "true negatives"),
    ]


def test_the_confusion_matrix_is_none_without_counts() -> None:
    assert confusion_section({"rows": 2, "accuracy": 1.0}) is None
    html = render(metrics={**METRICS, "test": {"rows": 2, "accuracy": 1.0, "log_loss": 0.1}})
    assert "The metrics of the test set have no confusion counts." in Page(html).text


def test_thresholds_are_listed_with_their_results_on_the_test_set() -> None:
    def choice(threshold: float, missed: int) -> dict[str, Any]:
        test = {"accuracy": 0.975, "fn": missed, "fp": 3}
        return {"threshold": threshold, "outcomes": {"validation": {}, "test": test}}

    thresholds = {"configured": choice(0.5, 2), "best": {"cost": choice(0.125, 1)}}
    assert thresholds_section(thresholds) == [
        ("configured", 0.5, 0.975, 2, 3),
        ("best cost", 0.125, 0.975, 1, 3),
    ]
    words = Page(render(metrics={**METRICS, "thresholds": thresholds})).words
    assert "best cost 0.1250 0.9750 1 3" in words


def test_a_run_without_a_validation_set_says_how_to_get_other_thresholds() -> None:
    assert thresholds_section(None) == []
    assert "Set split.validation to create one." in Page(render()).text


def test_the_effect_of_the_calibration_is_a_note() -> None:
    calibration = {
        "temperature": 1.75,
        "fitted_on": 246,
        "before": {"test": {"expected_calibration_error": 0.0321}},
        "after": {"test": {"expected_calibration_error": 0.0123}},
    }
    notes = curves_section({"test": pages.curves()}, {**METRICS, "calibration": calibration})
    assert (
        "The logits are divided by a temperature of 1.7500, fitted on 246 validation images. This "
        "changes the expected calibration error of the test set from 0.0321 to 0.0123."
    ) in notes["notes"]


def test_a_calibration_without_temperature_is_a_note() -> None:
    metrics = {**METRICS, "calibration": {"temperature": None}}
    notes = curves_section({"test": pages.curves()}, metrics)["notes"]
    assert "The validation set determines no temperature" in notes[1]


def test_a_run_without_curves_says_so() -> None:
    assert "This run has no curves." in Page(render(curves=None)).text


def test_images_of_one_label_have_no_roc_curve_and_the_page_says_so() -> None:
    metrics = {**METRICS, "test": {"rows": 2, "accuracy": 1.0, "log_loss": 0.1, "roc_auc": None}}
    both_labels = pages.curves()
    curves = {"test": Curves((), (), both_labels.reliability, both_labels.histogram)}
    text = Page(render(metrics=metrics, curves=curves)).text
    assert "Undefined: all test images have the same label." in text
    assert "The ROC and precision-recall curves are undefined" in text
