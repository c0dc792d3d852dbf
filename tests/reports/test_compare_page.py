"""Tests for glasses_spark.reports.compare_page."""

from __future__ import annotations

import re
import sys

import pytest

from glasses_spark.errors import SetupError
from glasses_spark.evaluation.compare import compare
from glasses_spark.reports.compare_page import render_page
from glasses_spark.reports.plots.palette import SERIES
from tests.evaluation.compared_runs import make_rows, make_run
from tests.html_page import Page

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def html() -> str:
    good = make_rows(dict.fromkeys(range(1, 11), True))
    bad = make_rows(dict.fromkeys(range(1, 11), False))
    runs = [
        make_run("good", good, config={"model.name": HOSTILE}),
        make_run(HOSTILE, bad, metrics={"test": {"accuracy": 0.5}}),
        # More runs than colours.
        *(make_run(name, good) for name in "abcd"),
    ]
    return render_page(compare(runs))


def test_the_page_is_inert_and_small(html: str) -> None:
    Page(html).assert_inert()
    assert len(html) < 200_000


def test_external_text_is_escaped(html: str) -> None:
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;") > 3


def test_every_curve_has_a_text_alternative_and_unique_ids(html: str) -> None:
    page = Page(html)
    labels = [str(picture["aria-label"]) for picture in page.all("svg")]
    assert [label.split(" by epoch")[0] for label in labels] == ["loss", "val loss", "accuracy"]
    assert labels[0].startswith("loss by epoch: good from 0.7000 to 0.3000; ")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_curves_follow_the_colour_scheme(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    drawing = html[html.index("<svg") :]
    series = "|".join(SERIES)
    assert set(re.findall(rf"stroke: var\(--({series})\)", drawing)) == set(SERIES)
    assert not re.search(r"#0f0e\d\d", html)


def test_the_conclusion_is_above_the_tables(html: str) -> None:
    conclusion = "good classifies significantly more test images correctly than"
    assert html.index(conclusion) < html.index("<table")
    assert '<td class="best">0.7500 <abbr title="best">*</abbr></td>' in html


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_an_error_that_names_the_extra(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # makes its import fail
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    with pytest.raises(SetupError, match=rf"{package}.*glasses-spark\[report\]"):
        render_page(compare([make_run("a"), make_run("b")]))
