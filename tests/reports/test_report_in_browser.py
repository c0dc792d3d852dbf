"""Tests of the report in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, browser, find_browser
from tests.contrast import relative_luminance
from tests.html_page import HOSTILE
from tests.reports import pages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_browser() is None,
        reason="Chromium is not installed; on Debian: apt-get install chromium",
    ),
]

WIDTHS = [380, 1400]
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    html = pages.render(
        quarantine=[
            (f"file:/faces/{HOSTILE}", "damaged", "detail"),
            (f"file:/{'long/' * 60}", "damaged", "detail"),
        ],
        # A value that is wider than any screen.
        config=pages.CONFIG + f'\n[data]\nimages = "{"folder/" * 80}"\n',
        gallery=pages.gallery(12),
    )
    file.write_text(html, encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
class TestPage:
    @pytest.fixture(autouse=True)
    def _open_page(self, chromium: Browser, page: Path, width: int, scheme: str) -> None:
        chromium.open(page, width=width, scheme=scheme)

    def test_no_element_is_wider_than_the_window(
        self, chromium: Browser, width: int, scheme: str
    ) -> None:
        assert chromium.evaluate("innerWidth") == width
        assert chromium.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        # No element is cut off, except inside of scrollable boxes.
        clipped = """[...document.querySelectorAll('main *')].filter(element =>
            !element.closest('.wide, pre, svg')
            && element.getBoundingClientRect().right > innerWidth
        ).map(element => element.outerHTML.slice(0, 80))"""
        assert chromium.evaluate(clipped) == []

    def test_all_pictures_load_and_the_console_is_empty(
        self, chromium: Browser, page: Path
    ) -> None:
        widths = chromium.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == 3 * 24
        assert min(widths) > 0
        # The script in a file name neither ran nor failed.
        assert [event for event in chromium.events if _is_message(event)] == []
        requests = [
            event["params"]["request"]["url"]
            for event in chromium.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]

    def test_the_colour_scheme_is_followed_with_readable_text(
        self, chromium: Browser, scheme: str
    ) -> None:
        background = _luminance(chromium, "document.body", "backgroundColor")
        assert (background > 0.8) == (scheme == "light")
        for selector in ("h1", ".note", ".key", "nav a", "td", "figcaption", "svg text"):
            text = _luminance(
                chromium, f"document.querySelector('{selector}')", _text_property(selector)
            )
            bright, dark = max(text, background), min(text, background)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, selector


def test_a_screen_reader_gets_landmarks_headings_and_names(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=1400, scheme="light")
    chromium.call("Accessibility.enable")
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in chromium.call("Accessibility.getFullAXTree")["nodes"]
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


def test_it_prints_in_the_light_scheme_without_navigation(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=1400, scheme="dark")
    chromium.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert chromium.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert _luminance(chromium, "document.querySelector('h1')", "color") < 0.05
    printed = chromium.call("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27)
    chromium.call("Emulation.setEmulatedMedia", media="")
    assert printed["data"].startswith("JVBERi0")  # %PDF-


def _is_message(event: dict[str, Any]) -> bool:
    methods = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    return event["method"] in (*methods, "Page.javascriptDialogOpening")


def _text_property(selector: str) -> str:
    return "fill" if "svg" in selector else "color"


def _luminance(chromium: Browser, element: str, name: str) -> float:
    """Return the relative luminance of a computed colour."""
    colour: str = chromium.evaluate(f"getComputedStyle({element}).{name}")
    channels = colour.removeprefix("rgb(").removesuffix(")").split(",")
    return relative_luminance([int(channel) / 255 for channel in channels])
