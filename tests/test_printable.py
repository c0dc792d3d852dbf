"""Tests for glasses_spark.printable."""

from __future__ import annotations

import os
import sys
import unicodedata

import pytest

from glasses_spark.printable import csv_cell, markdown_code, printable, printable_text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("face-1.png", "face-1.png"),
        ("Gesicht äöü 顔 😀.png", "Gesicht äöü 顔 😀.png"),
        ("\x1b[2Ja\rb\nc\x7f\x9b.png", r"\x1b[2Ja\x0db\x0ac\x7f\x9b.png"),
        ("gnp.\u202ecod", r"gnp.\u202ecod"),
        ("a\u2028b\u200bc", r"a\u2028b\u200bc"),
        (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"),
        ("tag\U000e0041", r"tag\U000e0041"),
    ],
)
def test_names_are_shown_without_control_characters(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_no_control_character_and_no_invisible_format_character_is_left() -> None:
    # Signs that scripts use within words, such as the Arabic number signs.
    visible = set(range(0x600, 0x606)) | {0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x180E}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category in ("Cc", "Zl", "Zp", "Cs"):
            assert printable(chr(code)).isascii(), hex(code)
        if category == "Cf" and code < 0x10000 and code not in visible:
            assert printable(chr(code)).isascii(), hex(code)


def test_texts_of_several_lines_keep_their_lines() -> None:
    assert printable_text("a\n\tb\x1b") == "a\n\tb\\x1b"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("faces", "`faces`"),
        ("a*b_<c>", "`a*b_<c>`"),
        ("a`b``c", "``` a`b``c ```"),
        ("`", "`` ` ``"),
        ("a\n# b\x1b", r"`a\x0a# b\x1b`"),
        ("", "(empty)"),
        ("  ", "(empty)"),
    ],
)
def test_texts_are_code_spans_of_markdown(text: str, span: str) -> None:
    assert markdown_code(text) == span


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("-1+2", "'-1+2"),
        ("\t=1", r"'\x09=1"),
        ("=\n1", r"'=\x0a1"),
        ("-", "-"),
        ("-0.25", "-0.25"),
        ("+1e-05", "+1e-05"),
        ("-inf", "-inf"),
        ("/faces/=1.png", "/faces/=1.png"),
    ],
)
def test_cells_that_begin_as_a_formula_are_text(text: str, cell: str) -> None:
    assert csv_cell(text) == cell
