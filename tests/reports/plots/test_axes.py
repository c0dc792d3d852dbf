"""Tests for glasses_spark.reports.plots.axes."""

from __future__ import annotations

import sys

import matplotlib
import pytest

from glasses_spark.errors import SetupError
from glasses_spark.reports.plots.axes import marker_styles, plot_style
from glasses_spark.reports.plots.plot import inline_svg
from tests.reports.plots.figures import all_plots


def test_the_users_matplotlib_settings_are_neither_used_nor_changed() -> None:
    plot = all_plots()["roc"]
    expected = inline_svg(plot)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "pink", "lines.linewidth": 9}):
        assert inline_svg(plot) == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_long_histories_have_no_markers() -> None:
    assert marker_styles(range(60))[0] == "o"
    assert marker_styles(range(61))[0] == ""


def test_drawing_without_matplotlib_is_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("matplotlib", "matplotlib.style"):
        monkeypatch.setitem(sys.modules, module, None)  # makes its import fail
    with pytest.raises(SetupError, match=r"glasses-spark\[report\]"), plot_style():
        pass
