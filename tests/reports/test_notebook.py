"""Tests for glasses_spark.reports.notebook."""

from __future__ import annotations

import base64
import re
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from glasses_spark.errors import ScoringError, SetupError
from glasses_spark.evaluation.curves import make_curves
from glasses_spark.reports.notebook import show_curves, show_faces
from tests.html_page import HOSTILE, Page
from tests.runs.results import make_metrics, make_scores

PIXELS = bytes(range(64)) + bytes(64)


def face(**changes: Any) -> dict[str, Any]:
    row = {"id": 7, "label": 1.0, "prediction": [0.125], "pixels": bytearray(PIXELS)}
    return {**row, **changes}


def test_curves_are_shown_with_their_titles() -> None:
    shown = show_curves({"test": make_curves(make_scores())}, {"test": make_metrics()})

    page = Page(shown.html)
    page.assert_inert()
    assert page.words.startswith("Curves of the test set ROC curve")
    assert len(page.all("svg")) == 4
    assert repr(shown) == "Curves of test"


def test_curves_without_matplotlib_are_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("matplotlib", "matplotlib.style"):
        monkeypatch.setitem(sys.modules, module, None)  # makes its import fail
    with pytest.raises(SetupError, match=r"glasses-spark\[report\]"):
        show_curves({"test": make_curves(make_scores())}, {"test": make_metrics()})


def test_a_face_is_shown_with_its_pixels_label_and_probability() -> None:
    shown = show_faces([face()], height=8, width=16, title="Errors")

    (encoded,) = re.findall(r"base64,([^\"]+)", shown.html)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), -1)
    assert picture.tobytes() == PIXELS
    assert "7: glasses p = 0.125" in Page(shown.html).words
    assert repr(shown) == "Errors: 1"


def test_a_face_without_prediction_has_its_label_alone() -> None:
    row = face(label=0.0)
    del row["prediction"]
    words = Page(show_faces([row], height=8, width=16).html).words
    assert "7: no glasses" in words
    assert "p =" not in words


def test_no_faces_are_shown_as_none() -> None:
    assert "None." in show_faces([], height=8, width=16).html


def test_a_title_is_escaped() -> None:
    page = Page(show_faces([face()], height=8, width=16, title=HOSTILE).html)
    page.assert_inert()
    assert "alert(1)" in page.text


def test_pixels_of_another_size_are_an_error_with_both_sizes() -> None:
    with pytest.raises(ScoringError, match="8 x 8 = 64 bytes per face, got 128"):
        show_faces([face()], height=8, width=8)
