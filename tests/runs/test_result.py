"""Tests for glasses_spark.runs.result."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glasses_spark.errors import ConfigError
from tests.html_page import Page
from tests.runs.results import make_metrics, make_result


def test_the_parts_are_in_order_and_without_an_absent_validation_set() -> None:
    assert list(make_result().parts) == ["train", "test"]
    assert list(make_result(validation=make_metrics()).parts) == ["train", "validation", "test"]


def test_the_text_has_metrics_counts_and_the_location() -> None:
    lines = str(make_result("runs/demo")).splitlines()
    assert lines[0].split() == ["train", "test"]
    assert lines[-2:] == ["200 of 210 images, 3 epochs, 12.2 s", "Results: runs/demo"]


def test_the_run_folder_of_a_uri_is_an_error() -> None:
    assert make_result("runs/demo").run_dir == Path("runs/demo")
    with pytest.raises(ConfigError, match=r"hdfs:///runs/demo is not on this machine"):
        _ = make_result("hdfs:///runs/demo").run_dir


def test_a_notebook_shows_metrics_counts_and_curves() -> None:
    html = make_result()._repr_html_()

    words = Page(html).words
    assert f"Test accuracy {make_metrics().accuracy:.4f} on 200 images" in words
    assert "train test" in words
    assert "200 of 210 images, 3 epochs, 12.2 s" in words
    assert "loss by epoch" in html
    assert "ROC curve" in words


def test_a_notebook_without_matplotlib_shows_the_rest_and_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("matplotlib", "matplotlib.style"):
        monkeypatch.setitem(sys.modules, module, None)  # makes its import fail
    words = Page(make_result()._repr_html_()).words
    assert "Test accuracy" in words
    assert "glasses-spark[report]" in words
    assert "ROC curve" not in words
