"""Tests for glasses_spark.reports.cross_validation_page."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np

from glasses_spark.evaluation.label_doubt import DoubtedLabel, LabelDoubt
from glasses_spark.reports.cross_validation_page import render_cross_validation
from tests.html_page import Page

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


def render(listed: tuple[DoubtedLabel, ...] = ()) -> str:
    pictures = {label.id: np.full((8, 8), label.id, np.uint8) for label in listed}
    return render_cross_validation(
        FIGURES, LabelDoubt(listed, likely_wrong=1, rows=1000), pictures, 'x = "<b>"'
    )


def test_the_result_has_mean_and_standard_deviation() -> None:
    assert "Accuracy 0.8500 &plusmn; 0.0707, log loss 0.2000 &plusmn; 0.0000" in render()


def test_the_page_is_inert_and_escapes_external_text() -> None:
    listed = (DoubtedLabel(1, 7, "file:/x/<i>7.png", 1.0, 0.05, 0.05, likely_wrong=True),)
    page = Page(render(listed))

    page.assert_inert()
    assert page.all("i") == page.all("b") == []
    assert "<i>7.png" in page.text
    assert 'x = "<b>"' in page.text


def test_a_label_in_doubt_is_shown_with_its_picture() -> None:
    text = render((DoubtedLabel(1, 7, "file:/7.png", 1.0, 0.05, 0.05, likely_wrong=True),))

    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    content = np.frombuffer(base64.b64decode(data), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(picture, np.full((8, 8), 7))
    assert 'alt="Image 7, label glasses"' in text
    assert "likely wrong</span>" in text


def test_each_metric_has_a_plot_with_a_dot_per_fold_and_a_text_alternative() -> None:
    text = render()

    assert text.count("<svg") == 2
    assert text.count("<circle") == 4
    assert (
        'aria-label="accuracy by fold: 0.9000, 0.8000; mean 0.8500, standard deviation 0.0707"'
        in text
    )
    for number in re.findall(r' (?:cy|y|y1|y2)="([^"]+)"', text):
        assert 0 <= float(number) <= 176
