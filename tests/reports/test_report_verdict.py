"""Tests for glasses_spark.reports.report_verdict."""

from __future__ import annotations

from typing import Any

import pytest

from glasses_spark.reports.report_verdict import (
    comparison_text,
    lead_text,
    metric_cards,
    summary_text,
)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "97 of 100 test images are classified correctly."),
        (
            {"fp": 1, "fn": 2},
            "97 of 100 test images are classified correctly: 1 false positive and 2 false "
            "negatives.",
        ),
        (
            {"fp": 3, "fn": 0},
            "97 of 100 test images are classified correctly: 3 false positives and no false "
            "negatives.",
        ),
    ],
)
def test_the_lead_counts_correct_images_and_errors(counts: dict[str, int], sentence: str) -> None:
    assert lead_text({"rows": 100, "accuracy": 0.97, **counts}) == sentence


def test_the_summary_lists_the_settings_that_are_known() -> None:
    training = {"epochs": 3, "batch_size": 32, "mode": "hogwild", "frequency": "epoch"}
    assert summary_text({"training": training, "run": {"seed": 7}}) == (
        "3 epochs, batch size 32, hogwild mode, updates per epoch, seed 7"
    )
    assert summary_text({"run": {"seed": 7}}) == "seed 7"


def test_a_card_has_value_interval_and_published_value() -> None:
    test = {"accuracy": 0.99, "log_loss": 0.02, "intervals": {"accuracy": [0.98, 0.995]}}
    accuracy, log_loss, roc_auc = metric_cards({"test": test})

    assert (accuracy["value"], accuracy["published"]) == ("0.9900", "0.9969")
    assert accuracy["interval"] == "95 % interval 0.9800 to 0.9950"
    assert log_loss["interval"] == ""
    assert roc_auc["value"] == "-"
    assert roc_auc["range"] is None
    assert roc_auc["note"] == "Undefined: all test images have the same label."


def test_the_scale_of_a_card_contains_value_interval_and_published_value() -> None:
    test = {"accuracy": 0.99, "log_loss": 0.02, "intervals": {"accuracy": [0.98, 0.995]}}
    scale = next(metric_cards({"test": test}))["range"]

    # From 0.98 to 0.9969 with a margin of 15 % on both sides.
    assert scale["left"] == pytest.approx(100 * 0.15 / 1.3, abs=0.01)
    assert scale["published"] == pytest.approx(100 * 1.15 / 1.3, abs=0.01)
    assert scale["left"] < scale["value"] < scale["left"] + scale["width"] < scale["published"]


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (
            {"images": 5000, "undefined_label": 37},
            "this run has the same number of images and of undefined labels.",
        ),
        ({"images": 2400}, "the values are not directly comparable."),
    ],
)
def test_the_published_result_is_comparable_only_for_its_images(
    data: dict[str, Any], ending: str
) -> None:
    assert comparison_text(data).endswith(ending)
