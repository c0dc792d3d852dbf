"""Tests for glasses_spark.reports.plots.plot."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import cv2
import pytest

from glasses_spark.reports.plots.palette import LIGHT
from glasses_spark.reports.plots.plot import Plot, inline_svg, write_plots
from tests.reports.plots.figures import all_plots

PLOTS = all_plots()


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
class TestInlineSvg:
    def test_the_same_plot_gives_the_same_bytes(self, plot: Plot) -> None:
        assert inline_svg(plot) == inline_svg(all_plots()[plot.name])

    def test_all_colours_are_css_variables(self, plot: Plot) -> None:
        svg = inline_svg(plot)
        assert not re.search(r"(fill|stroke|color): *(#|rgb|black|white)", svg)
        assert {*re.findall(r"var\(--(\w+)\)", svg)} <= {*asdict(LIGHT)}
        assert "var(--muted)" in svg

    def test_it_is_well_formed_and_has_a_text_alternative(self, plot: Plot) -> None:
        root = ElementTree.fromstring(inline_svg(plot).replace("<svg", '<svg xmlns="x"', 1))
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == plot.alt
        assert re.search(r"\d", plot.alt)
        assert plot.alt.endswith(".")

    def test_ids_are_unique_and_references_resolve(self, plot: Plot) -> None:
        svg = inline_svg(plot)
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(id_.startswith(f"{plot.name}-") for id_ in ids)
        assert {*re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)} <= {
            pair for id_ in ids for pair in ((id_, ""), ("", id_))
        }

    def test_text_is_not_converted_to_outlines(self, plot: Plot) -> None:
        assert inline_svg(plot).count("<text") > 4


def test_files_have_a_title_and_fixed_colours(tmp_path: Path) -> None:
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


def test_files_are_reproducible(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        write_plots([PLOTS["roc"]], tmp_path / folder)
    for name in ("roc.svg", "roc.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
