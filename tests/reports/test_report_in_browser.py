"""Tests of the report as a browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glasses_spark.reports.report import render_report
from tests.browser import Browser, browser, find_browser
from tests.reports import pages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_browser() is None,
        reason="there is no Chromium here; on Debian: apt-get install chromium",
    ),
]

WIDTHS = [380, 1400]
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    html = render_report(
        pages.METRICS,
        pages.history(),
        [(f"file:/faces/{pages.HOSTILE}", "damaged"), (f"file:/{'long/' * 60}", "damaged")],
        # A value that is wider than any screen.
        pages.CONFIG + f'\n[data]\nimages = "{"folder/" * 80}"\n',
        curves={"train": pages.curves(), "test": pages.curves()},
        gallery=pages.gallery(12),
    )
    file.write_text(html, encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
class TestPage:
    @pytest.fixture(autouse=True)
    def _opened(self, chromium: Browser, page: Path, width: int, scheme: str) -> None:
        chromium.open(page, width=width, scheme=scheme)

    def test_nothing_is_wider_than_the_window(
        self, chromium: Browser, width: int, scheme: str
    ) -> None:
        assert chromium.evaluate("innerWidth") == width
        assert chromium.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        # Nor is anything cut off at its edge, other than what can be scrolled in its box.
        beyond = """[...document.querySelectorAll('main *')].filter(one =>
            !one.closest('.wide, pre, svg') && one.getBoundingClientRect().right > innerWidth
        ).map(one => one.outerHTML.slice(0, 80))"""
        assert chromium.evaluate(beyond) == []

    def test_all_pictures_are_there_and_the_console_is_silent(
        self, chromium: Browser, page: Path
    ) -> None:
        widths = chromium.evaluate("[...document.images].map(one => one.naturalWidth)")
        assert len(widths) == 3 * 24
        assert min(widths) > 0
        # The script in a file's name has not run, nor complained.
        assert [event for event in chromium.events if _is_said(event)] == []
        requests = [
            event["params"]["request"]["url"]
            for event in chromium.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]

    def test_the_scheme_is_followed_and_text_stands_out(
        self, chromium: Browser, scheme: str
    ) -> None:
        ground = _luminance(chromium, "document.body", "backgroundColor")
        assert (ground > 0.8) == (scheme == "light")
        for selector in ("h1", ".note", ".key", "nav a", "td", "figcaption", "svg text"):
            text = _luminance(
                chromium, f"document.querySelector('{selector}')", _text_property(selector)
            )
            bright, dark = max(text, ground), min(text, ground)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, selector


def test_landmarks_headings_and_names_are_what_a_screen_reader_gets(
    chromium: Browser, page: Path
) -> None:
    chromium.open(page, width=1400, scheme="light")
    chromium.ask("Accessibility.enable")
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in chromium.ask("Accessibility.getFullAXTree")["nodes"]
        if not node["ignored"]
    ]
    roles = [role for role, _ in nodes]
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(landmark) == 1
    assert ("navigation", "Contents") in nodes
    assert ("heading", "Glasses or no glasses") in nodes
    pictures = [name for role, name in nodes if role in ("image", "img")]
    assert len(pictures) >= 9 + 2 * 24
    assert all(pictures)
    assert all(name for role, name in nodes if role in ("table", "region", "link"))


def test_it_prints_in_the_colours_of_paper_on_few_pages(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=1400, scheme="dark")
    chromium.ask("Emulation.setEmulatedMedia", media="print", features=[])
    assert chromium.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert _luminance(chromium, "document.querySelector('h1')", "color") < 0.05
    printed = chromium.ask("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27)
    chromium.ask("Emulation.setEmulatedMedia", media="")
    assert printed["data"].startswith("JVBERi0")  # %PDF-


def _is_said(event: dict[str, Any]) -> bool:
    said = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    return event["method"] in (*said, "Page.javascriptDialogOpening")


def _text_property(selector: str) -> str:
    return "fill" if "svg" in selector else "color"


def _luminance(chromium: Browser, element: str, name: str) -> float:
    """Relative luminance of a colour, as the Web Content Accessibility Guidelines define it."""
    colour: str = chromium.evaluate(f"getComputedStyle({element}).{name}")
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
