"""Text from outside, such as file names, made safe to show in terminals, logs and pages."""

from __future__ import annotations

import html
import re
from typing import Final

# Control characters (C0, DEL, C1), which can move the cursor, hide text or begin a line of a
# log; line and paragraph separators; marks that change the order of the text after them or
# are invisible; and halves of surrogate pairs, in which Python keeps bytes that are not UTF-8.
_KEPT_IN_TEXT: Final = "\n\t"
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)

# Programs for tables take such a cell for a formula; one character alone is none.
_FORMULA: Final = re.compile(r"[=+\-@\t\r].", re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def printable(name: str) -> str:
    r"""Escape what a terminal or a reader could take for something else, such as ``\x1b``.

    Args:
        name: One name. Bytes of it that are not UTF-8 become ``\xe9``.
    """
    return _UNSAFE.sub(_escaped, name)


def printable_text(text: str) -> str:
    """Escape a text of several lines: as ``printable``, but line breaks and tabs stay."""
    return _UNSAFE.sub(lambda m: m[0] if m[0] in _KEPT_IN_TEXT else _escaped(m), text)


def escape_html(text: str) -> str:
    """Escape a text for HTML, and its control characters as ``printable_text`` does."""
    return html.escape(printable_text(text))


def markdown_code(text: str) -> str:
    """Return a text as a code span of Markdown, in which nothing is markup, HTML or a link.

    Not for cells of tables: some readers end a cell at a bar within a code span.
    """
    escaped = printable(text)
    if not escaped.strip():
        return "(empty)"
    longest = max((len(run) for run in re.findall("`+", escaped)), default=0)
    fence = "`" * (longest + 1)
    # Readers of Markdown drop the spaces.
    return f"{fence} {escaped} {fence}" if longest else f"{fence}{escaped}{fence}"


def csv_cell(text: str) -> str:
    """Return a text for a cell of a CSV file.

    Args:
        text: A name, a number or another text. Programs for tables would run a text that
            begins as a formula, so it gets an apostrophe in front, unless it is a number.
    """
    escaped = printable(text)
    is_formula = _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
    return f"'{escaped}" if is_formula else escaped


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode of a byte
        code -= 0xDC00
    return (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
    )
