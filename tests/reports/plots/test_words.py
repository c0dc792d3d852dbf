"""Tests for glasses_spark.reports.plots.words."""

from __future__ import annotations

import pytest

from glasses_spark.reports.plots.words import count_text, number_text, slug


@pytest.mark.parametrize(
    ("items", "text"), [([], "0 epochs"), ([1], "1 epoch"), ([1, 2], "2 epochs")]
)
def test_counts_have_the_right_number(items: list[int], text: str) -> None:
    assert count_text(items, "epoch") == text


@pytest.mark.parametrize(("value", "text"), [(None, "undefined"), (1234, "1,234"), (0.5, "0.5000")])
def test_numbers_are_formatted_by_type(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_a_slug_has_only_letters_digits_and_hyphens() -> None:
    assert slug("val_Top-5 (k)") == "val-top-5-k"
