"""A parsed HTML page, for tests of pages and cells."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# Markup, entities, quotes and a line break, as they may occur in a file name.
HOSTILE = "<img src=x onerror=alert(1)>&amp;\"'\n.png"

_VOID = {"br", "img", "link", "meta"}
_LOADING = {"base", "embed", "form", "iframe", "object", "script"}
_REFERENCES = ("src", "href", "xlink:href", "action", "data")


class Page(HTMLParser):
    """Tags and text of a page; an unbalanced tag is an AssertionError.

    Attributes:
        html: The page itself.
        tags: Name and attributes of each element, in order.
        text: Text outside of ``<style>``, without separators between elements.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    @property
    def words(self) -> str:
        """Text with one space between words and elements."""
        return " ".join(" ".join(self._texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    def assert_inert(self) -> None:
        """Check that the page loads no external resource and runs no script."""
        assert not {tag for tag, _ in self.tags} & _LOADING
        for _, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on")]
            for name in _REFERENCES:
                assert (attributes.get(name) or "#").startswith(("#", "data:"))
        # XML namespaces are the only addresses.
        without_namespaces = self.html.replace("http://www.w3.org/1999/xlink", "")
        assert not re.search(r"https?:|@import|url\((?!#)", without_namespaces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data
            self._texts.append(data)
