"""Tests for glasses_spark.reports.plots.plot."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import cv2
import matplotlib
import pytest

from glasses_spark.evaluation.curves import Curves
from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.palette import DARK, LIGHT, Palette
from glasses_spark.reports.plots.plot import Plot, inline_svg, write_plots
from glasses_spark.reports.plots.training import learning_plots, worker_plots
from tests.reports import pages


def all_plots() -> list[Plot]:
    history = pages.history()
    curves = {"train": pages.curves(), "test": pages.curves()}
    return [
        *learning_plots(history),
        *worker_plots(history),
        *curve_plots(curves, pages.METRICS),
    ]


PLOTS = {plot.name: plot for plot in all_plots()}


def test_each_thing_to_see_has_its_plot() -> None:
    assert list(PLOTS) == [
        "learning-loss",
        "learning-accuracy",
        "workers-rows",
        "workers-seconds",
        "workers-staleness",
        "roc",
        "precision-recall",
        "reliability",
        "probabilities",
    ]


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
class TestInlineSvg:
    def test_the_same_plot_is_the_same_bytes(self, plot: Plot) -> None:
        again = {one.name: one for one in all_plots()}[plot.name]
        assert inline_svg(plot) == inline_svg(again)

    def test_no_colour_is_fixed(self, plot: Plot) -> None:
        svg = inline_svg(plot)
        assert not re.search(r"(fill|stroke|color): *(#|rgb|black|white)", svg)
        assert {*re.findall(r"var\(--(\w+)\)", svg)} <= {*asdict(LIGHT)}
        assert "var(--muted)" in svg

    def test_it_is_well_formed_and_says_what_it_shows(self, plot: Plot) -> None:
        root = ElementTree.fromstring(inline_svg(plot).replace("<svg", '<svg xmlns="x"', 1))
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == plot.alt
        assert re.search(r"\d", plot.alt)
        assert plot.alt.endswith(".")

    def test_every_id_is_its_own_and_every_reference_is_met(self, plot: Plot) -> None:
        svg = inline_svg(plot)
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(one.startswith(f"{plot.name}-") for one in ids)
        assert {*re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)} <= {
            pair for one in ids for pair in ((one, ""), ("", one))
        }

    def test_text_is_text(self, plot: Plot) -> None:
        assert inline_svg(plot).count("<text") > 4


def test_nothing_of_what_the_user_has_set_in_matplotlib_changes_or_counts() -> None:
    plot = PLOTS["roc"]
    expected = inline_svg(plot)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "pink", "lines.linewidth": 9}):
        assert inline_svg(plot) == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_files_have_a_title_and_colours_of_their_own(tmp_path: Path) -> None:
    write_plots([PLOTS["roc"], PLOTS["probabilities"]], tmp_path / "plots")

    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == ["probabilities.png", "probabilities.svg", "roc.png", "roc.svg"]
    svg = (tmp_path / "plots" / "roc.svg").read_text()
    assert "ROC curve" in svg
    assert LIGHT.glasses in svg
    assert "var(" not in svg
    picture = cv2.imread(str(tmp_path / "plots" / "roc.png"))
    assert picture.shape[1] > 800
    assert picture[0, 0].tolist() == [255, 255, 255]


def test_the_same_file_is_written_each_time(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_plots([PLOTS["roc"]], tmp_path / folder)
    for name in ("roc.svg", "roc.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_validation_rows_have_a_line_where_there_are_any() -> None:
    without = learning_plots(pages.history(validation=False))[0]
    assert "validation" not in inline_svg(without)
    assert ">validation</text>" in inline_svg(PLOTS["learning-loss"])
    assert "validation loss goes from 0.7000 to 0.2333" in PLOTS["learning-loss"].alt


def test_without_epochs_there_is_nothing_to_draw() -> None:
    assert learning_plots([]) == worker_plots([]) == []


def test_staleness_is_left_out_where_there_is_none() -> None:
    history = pages.history()
    for record in history:
        for share in record["workers"]:
            share["staleness"] = 0.0
    assert [plot.name for plot in worker_plots(history)] == ["workers-rows", "workers-seconds"]


def test_many_workers_are_a_band_and_a_mean() -> None:
    svg = inline_svg(worker_plots(pages.history(workers=30))[0])
    assert ">all 30 workers</text>" in svg
    assert ">mean</text>" in svg
    assert ">worker 0</text>" not in svg


def test_one_label_has_neither_a_roc_curve_nor_precision_over_recall() -> None:
    of_both = pages.curves()
    one_label = Curves((), (), of_both.reliability, of_both.histogram)
    metrics = {"test": {"rows": 2, "roc_auc": None, "tp": 2, "fp": 0, "tn": 0, "fn": 0}}
    plots = curve_plots({"test": one_label}, metrics)
    assert [plot.name for plot in plots] == ["reliability", "probabilities"]
    assert all(inline_svg(plot) for plot in plots)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_of_every_colour_can_be_read_on_either_ground(palette: Palette) -> None:
    colours = asdict(palette)
    for ground in ("paper", "page"):
        for role in ("ink", "muted", "glasses", "none", "third", "fourth"):
            # As the Web Content Accessibility Guidelines 2.2 want it, success criterion 1.4.3.
            assert contrast(colours[role], colours[ground]) >= 4.5, (role, ground)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of the Web Content Accessibility Guidelines, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, bright = sorted([luminance(one), luminance(other)])
    return (bright + 0.05) / (dark + 0.05)


def test_matplotlib_is_imported_where_something_is_drawn_only() -> None:
    code = (
        "import sys\nimport glasses_spark.reports.report\n"
        "print([m for m in ('matplotlib', 'jinja2') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
