"""Tests for glasses_spark.reports.cross_validation_page."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np

from glasses_spark.evaluation.label_doubt import DoubtedLabel, LabelDoubt
from glasses_spark.reports.cross_validation_page import render_cross_validation

FIGURES = {
    "folds": [
        {"fold": 0, "train_rows": 1000, "rows": 500, "accuracy": 0.9, "log_loss": 0.2, "fit_s": 3},
        {"fold": 1, "train_rows": 1000, "rows": 500, "accuracy": 0.8, "log_loss": 0.2, "fit_s": 4},
    ],
    "mean": {"accuracy": 0.85, "log_loss": 0.2},
    "standard_deviation": {"accuracy": 0.0707, "log_loss": 0.0},
    "data": {"images": 1500},
    "timings": {"total_s": 12.5},
}


def page(listed: tuple[DoubtedLabel, ...] = ()) -> str:
    pictures = {one.id: np.full((8, 8), one.id, np.uint8) for one in listed}
    return render_cross_validation(
        FIGURES, LabelDoubt(listed, likely_wrong=1, rows=1000), pictures, 'x = "<b>"'
    )


def test_the_verdict_has_mean_and_deviation() -> None:
    assert "Accuracy 0.8500 &plusmn; 0.0707 and log loss 0.2000 &plusmn; 0.0000" in page()


def test_the_page_loads_nothing_runs_nothing_and_shows_text_as_text() -> None:
    listed = (DoubtedLabel(1, 7, "file:/x/<i>7.png", 1.0, 0.05, 0.05, likely_wrong=True),)
    text = page(listed)

    assert "<script" not in text
    assert "http" not in text
    assert "<i>" not in text
    assert "&lt;i&gt;7.png" in text
    assert "x = &quot;&lt;b&gt;&quot;" in text


def test_a_doubtful_label_is_shown_with_its_picture() -> None:
    text = page((DoubtedLabel(1, 7, "file:/7.png", 1.0, 0.05, 0.05, likely_wrong=True),))

    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    content = np.frombuffer(base64.b64decode(data), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(picture, np.full((8, 8), 7))
    assert 'alt="Image 7, labelled glasses"' in text
    assert "likely wrong</span>" in text


def test_each_metric_has_a_plot_with_a_dot_for_each_fold_and_a_text_that_says_the_same() -> None:
    text = page()

    assert text.count("<svg") == 2
    assert text.count("<circle") == 4
    assert (
        'aria-label="accuracy by fold: 0.9000, 0.8000; mean 0.8500, standard deviation 0.0707"'
        in text
    )
    for number in re.findall(r' (?:cy|y|y1|y2)="([^"]+)"', text):
        assert 0 <= float(number) <= 176
