"""Tests for glasses_spark.reports.compare_page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from glasses_spark.evaluation.compare import compare
from glasses_spark.reports.compare_page import render_page
from tests.evaluation.test_compare import make_run, rows

HOSTILE = '<script>alert("x")</script>'


class Page(HTMLParser):
    """The tags of a page, and whether each is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html() -> str:
    one = rows(dict.fromkeys(range(1, 11), True))
    other = rows({number: number > 10 for number in range(1, 11)})
    runs = [
        make_run("one", one, config={"model.name": HOSTILE}),
        make_run(HOSTILE, other, metrics={"test": {"accuracy": 0.5}}),
        # More runs than colours.
        *(make_run(name, one) for name in "abcd"),
    ]
    return render_page(compare(runs))


def test_the_page_loads_nothing_runs_no_script_and_is_small(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    targets = [a.get("href") or a.get("xlink:href") for _, a in page.tags]
    assert all(target.startswith("#") for target in targets if target)
    assert "url(http" not in html
    assert "@import" not in html
    assert len(html) < 200_000


def test_what_comes_from_outside_is_shown_as_text(html: str) -> None:
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;") > 3


def test_every_curve_is_told_in_words_and_has_ids_of_its_own(html: str) -> None:
    page = Page(html)
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    words = [str(picture["aria-label"]) for picture in pictures]
    assert [word.split(" through")[0] for word in words] == ["loss", "val loss", "accuracy"]
    assert words[0].startswith("loss through the epochs: one from 0.7000 to 0.3000; ")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_curves_follow_the_scheme_of_the_reader(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    drawn = html[html.index("<svg") :]
    assert set(re.findall(r"stroke: (var\(--run-\d\))", drawn)) == {
        f"var(--run-{place})" for place in range(4)
    }
    assert not re.search(r"#0f0e\d\d", html)


def test_the_verdict_stands_above_the_tables(html: str) -> None:
    assert html.index("one is right more often than") < html.index("<table")
    assert '<td class="best">0.7500 <abbr title="best">*</abbr></td>' in html
