"""Tests for glasses_spark.reports.report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from glasses_spark.evaluation.curves import Curves
from glasses_spark.reports.gallery import Gallery
from glasses_spark.reports.report import render_report, report_plots
from tests.reports import pages
from tests.reports.pages import CONFIG, HOSTILE, METRICS

VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """The tags of a page, and its text; a tag that is not closed is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def render(**changes: Any) -> str:
    """The page of the made-up run, with something changed."""
    given: dict[str, Any] = {
        "metrics": METRICS,
        "history": pages.history(),
        "quarantine": [],
        "config": CONFIG,
        "curves": {"train": pages.curves(), "test": pages.curves()},
        "gallery": pages.gallery(),
    }
    return render_report(**{**given, **changes})


@pytest.fixture(scope="module")
def html() -> str:
    return render(quarantine=[(HOSTILE, HOSTILE)])


def test_the_page_begins_with_the_verdict(html: str) -> None:
    text = " ".join(Page(html).text.split())
    assert (
        "497 of 500 faces that were held back were judged rightly: 2 were missed with glasses "
        "on, and one was taken for wearing some."
    ) in text
    assert text.index("0.9940") < text.index("Published: 0.9969") < text.index("Every figure")


@pytest.mark.parametrize(
    "part",
    [
        "1,891",
        "95 % interval 0.9826 to 0.9980",
        "found, 99.3 %",
        "39.44",
        "left out: the label is empty or nan",
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
def test_the_page_holds_every_part(html: str, part: str) -> None:
    assert part in " ".join(Page(html).text.split())


def test_names_of_files_are_text_and_nothing_is_loaded_or_run(html: str) -> None:
    page = Page(html)
    assert page.text.count(HOSTILE) == 3  # path and reason in the quarantine, name of the face
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "base", "form"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    without_names = html.replace("http://www.w3.org/1999/xlink", "")
    assert not re.search(r"https?:|@import|url\((?!#)", without_names)


def test_the_configuration_is_text_too() -> None:
    config = f"[data]\nimages = {json.dumps('<b>' + HOSTILE)}\n"
    page = Page(render(config=config, gallery=None))
    assert config.strip() in page.text
    assert page.all("b") == Page(render(gallery=None)).all("b")


def test_headings_are_in_order_and_landmarks_are_there(html: str) -> None:
    page = Page(html)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    assert page.all("html")[0]["lang"] == "en"


def test_every_link_of_the_contents_leads_to_a_section(html: str) -> None:
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.all("a")]
    assert len(links) > 10
    assert {str(link).removeprefix("#") for link in links} <= {*ids}


def test_pictures_drawings_and_tables_say_what_they_are(html: str) -> None:
    page = Page(html)
    # A face beside itself with its map: the face is described once.
    described = [picture["alt"] for picture in page.all("img") if picture["alt"]]
    assert len(described) == 2 * 4
    assert described[:2] == [
        "Face 0: labelled no glasses, probability of glasses 0.8750",
        "What the answer for face 0 rests on: most on the upper left, which spoke for glasses",
    ]
    plots = report_plots(METRICS, pages.history(), curves={"test": pages.curves()})
    assert len(page.all("svg")) == len(plots)
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"history": pages.history(validation=False)}, "set split.validation, to 0.1 say"),
        ({"history": []}, "there is no epoch to show"),
        ({"history": []}, "The history names no workers."),
        ({"curves": None}, "This run has no curves."),
        ({"gallery": None}, "This run has kept no pictures."),
        ({"gallery": Gallery((), ())}, "There are none: every test image was told rightly."),
        ({"quarantine": []}, "cannot be decoded: none."),
    ],
)
def test_a_part_that_is_missing_says_why(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in Page(render(**changes)).text


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("synchronous", "each waits for all workers"), ("hogwild", "none met another")],
)
def test_no_staleness_has_its_reason(mode: str, reason: str) -> None:
    history = pages.history()
    for record in history:
        for share in record["workers"]:
            share["staleness"] = 0.0
    config = f'[training]\nmode = "{mode}"\n'
    assert reason in Page(render(history=history, config=config)).text


def test_one_label_alone_is_said_and_not_drawn() -> None:
    metrics = {**METRICS, "test": {"rows": 2, "accuracy": 1.0, "log_loss": 0.1, "roc_auc": None}}
    of_both = pages.curves()
    curves = {"test": Curves((), (), of_both.reliability, of_both.histogram)}
    text = Page(render(metrics=metrics, curves=curves)).text
    assert "Undefined: all test images have one label." in text
    assert "give images of both labels" in text


def test_the_published_figures_are_said_to_be_of_other_images_unless_they_are_not() -> None:
    assert "This run's images are others" in Page(render()).text
    kaggle = {**METRICS, "data": {"images": 5000, "used": 4963, "undefined_label": 37}}
    text = Page(render(metrics=kaggle)).text
    assert "as many images and as many without a label as that data set" in text
    assert "others" not in text.split("Every figure")[0]


def test_thresholds_and_temperature_are_shown_where_they_were_chosen() -> None:
    def choice(threshold: float, missed: int) -> dict[str, Any]:
        test = {"accuracy": 0.975, "fn": missed, "fp": 3}
        return {"threshold": threshold, "outcomes": {"validation": {}, "test": test}}

    quality = {"test": {"expected_calibration_error": 0.0321}}
    metrics = {
        **METRICS,
        "thresholds": {"configured": choice(0.5, 2), "best": {"cost": choice(0.125, 1)}},
        "calibration": {
            "temperature": 1.75,
            "fitted_on": 246,
            "before": quality,
            "after": {"test": {"expected_calibration_error": 0.0123}},
        },
    }
    text = " ".join(Page(render(metrics=metrics)).text.replace("\n", " ").split())
    assert "as configured0.50000.975023" in text
    assert "best cost0.12500.975013" in text
    assert "a temperature of 1.7500, found on 246 validation images" in text
    assert "was 0.0321 and is 0.0123" in text
    assert "No other threshold was looked for" in Page(render()).text


def test_a_long_quarantine_is_cut_and_says_so() -> None:
    many = [(f"file:/faces/{number}.png", "damaged") for number in range(10_000)]
    page = Page(render(quarantine=many))
    assert "the first 100 of 10,000; quarantine.csv has all" in page.text
    assert "/99.png" in page.text
    assert "/100.png" not in page.text


def test_the_same_run_gives_the_same_page() -> None:
    assert render() == render()


@pytest.mark.slow
def test_the_page_of_a_long_run_with_large_pictures_stays_small() -> None:
    html = render(history=pages.history(workers=64) * 100, gallery=pages.gallery(12, side=1024))
    assert len(html) < 3_000_000


def test_a_gallery_without_evidence_shows_the_faces_alone() -> None:
    face = pages.gallery().mistakes[1]
    bare = type(face)(**{**vars(face), "evidence": None})
    page = Page(render(gallery=Gallery((bare,), ())))
    assert len(page.all("img")) == 1
    assert "was blurred" not in page.text


def test_a_map_without_any_evidence_says_so() -> None:
    face = pages.gallery().mistakes[1]
    blank = type(face)(**{**vars(face), "evidence": np.zeros((32, 32), np.float32)})
    page = Page(render(gallery=Gallery((blank,), ())))
    assert "no place in particular" in str(page.all("img")[2]["alt"])
