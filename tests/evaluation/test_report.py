"""Tests for glasses_spark.evaluation.report."""

from __future__ import annotations

from html.parser import HTMLParser

from glasses_spark.evaluation.report import render_report

METRICS = {
    "train": {"rows": 1891, "accuracy": 0.9942, "log_loss": 0.0287, "roc_auc": 0.9999},
    "test": {"rows": 500, "accuracy": 0.994, "log_loss": 0.0309, "roc_auc": None},
    "data": {"images": 2400, "used": 2391},
    "timings": {"fit_s": 39.44},
    "environment": {"cpus": 2, "packages": {"keras": "3.15.1"}},
}
HISTORY = [{"epoch": 1, "loss": 0.7, "accuracy": 0.5, "rows": 1891, "workers": []}]


class Page(HTMLParser):
    """The tags of a page, and its text; a tag that is not closed is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_begins_with_the_verdict_and_holds_every_part() -> None:
    page = Page(render_report(METRICS, HISTORY, [], "[run]\nseed = 0\n"))
    assert "Test accuracy 0.9940 and log loss 0.0309 on 500 images" in page.text
    for part in ("1,891", "39.44", "2,391", "0.7000", "seed = 0", "3.15.1", "None."):
        assert part in page.text


def test_names_of_files_are_text_and_nothing_is_loaded_or_run() -> None:
    hostile = "<script>alert(1)</script>&.png"
    html = render_report(METRICS, HISTORY, [(hostile, 'a "reason"')], "x = '<b>'")
    page = Page(html)
    assert hostile in page.text
    assert 'a "reason"' in page.text
    assert not page.seen & {"script", "link", "img", "iframe", "b"}
    assert "http" not in html


def test_a_run_without_epochs_or_an_undefined_metric_is_shown_as_well() -> None:
    assert "-" in Page(render_report(METRICS, [], [], "")).text
