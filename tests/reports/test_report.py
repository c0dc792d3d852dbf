"""Tests for glasses_spark.reports.report."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest

from glasses_spark.errors import SetupError
from glasses_spark.reports.report import report_plots
from glasses_spark.reports.template import require_report_packages
from tests.html_page import HOSTILE, Page
from tests.reports import pages
from tests.reports.pages import METRICS, render


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(quarantine=[(HOSTILE, "damaged", HOSTILE)]))


def test_the_page_starts_with_the_result(page: Page) -> None:
    assert (
        "497 of 500 test images are classified correctly: 1 false positive and 2 false negatives."
    ) in page.words
    assert (
        page.words.index("0.9940")
        < page.words.index("Published: 0.9969")
        < page.words.index("All metrics")
    )


@pytest.mark.parametrize(
    "text",
    [
        "1,891",
        "95 % interval 0.9826 to 0.9980",
        "true positives, 99.3 %",
        "39.44",
        "excluded: the label is empty or nan",
        "0.2333",  # the last validation loss
        "seed 7",
        "3.15.1",
        "0123456789abcdef",
        "fedcba9876543210",
        'mode = "asynchronous"',
        "face-1.png",
        "0.8750",
    ],
)
def test_the_page_shows_every_input(page: Page, text: str) -> None:
    assert text in page.words


def test_file_names_are_escaped_and_the_page_is_inert(page: Page) -> None:
    assert page.text.count(HOSTILE) == 3  # path and reason in the quarantine, name of the face
    page.assert_inert()


def test_control_characters_in_file_names_are_escaped() -> None:
    page = render(quarantine=[("a\x1b\u202e\x85.png", "damaged", "b\x07")])
    assert r"a\x1b\u202e\x85.png" in page
    assert r"b\x07" in page
    assert not set("\x1b\u202e\x85\x07") & set(page)


def test_the_configuration_is_escaped() -> None:
    config = f"[data]\nimages = {json.dumps('<b>' + HOSTILE)}\n"
    page = Page(render(config=config, gallery=None))
    assert config.strip() in page.text
    assert page.all("b") == Page(render(gallery=None)).all("b")


def test_headings_are_nested_and_landmarks_exist(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    assert page.all("html")[0]["lang"] == "en"


def test_every_link_of_the_contents_targets_a_section(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.all("a")]
    assert len(links) > 10
    assert {str(link).removeprefix("#") for link in links} <= {*ids}


def test_pictures_plots_and_tables_have_text_alternatives(page: Page) -> None:
    # A face next to its map: the face is described once.
    assert len([picture for picture in page.all("img") if picture["alt"]]) == 2 * 4
    plots = report_plots(METRICS, pages.history(), curves={"test": pages.curves()})
    assert len(page.all("svg")) == len(plots)
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))


@pytest.mark.slow
def test_the_same_run_gives_the_same_page() -> None:
    assert render() == render()


@pytest.mark.slow
def test_the_page_of_a_long_run_with_large_pictures_is_small() -> None:
    html = render(history=pages.history(workers=64) * 100, gallery=pages.gallery(12, side=1024))
    assert len(html) < 3_000_000


def test_a_report_has_these_plots() -> None:
    plots = report_plots(METRICS, pages.history(), curves={"test": pages.curves()})
    assert [plot.name for plot in plots] == [
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


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_an_error_that_names_the_extra(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # makes its import fail
    with pytest.raises(SetupError, match=rf"{package}.*glasses-spark\[report\]"):
        require_report_packages()
    with pytest.raises(SetupError, match=package):
        render()


def test_importing_the_module_needs_no_optional_package() -> None:
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = sys.modules['jinja2'] = None\n"
        "import glasses_spark.reports.report, glasses_spark.reports.compare_page\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
