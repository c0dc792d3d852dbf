"""Tests for glasses_spark.reports.compare_text."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
from rich.console import Console

from glasses_spark.evaluation.compare import Comparison, compare
from glasses_spark.reports.compare_text import (
    p_value_text,
    print_comparison,
    setting_text,
    value_text,
    verdict,
)
from tests.evaluation.compared_runs import make_rows, make_run


def printed(comparison: Comparison, *, width: int = 80, encoding: str = "utf-8") -> str:
    screen = TextIOWrapper(BytesIO(), encoding=encoding)
    print_comparison(comparison, Console(file=screen, width=width))
    screen.seek(0)
    return screen.read()


def good_and_bad() -> Comparison:
    good = make_rows(dict.fromkeys(range(1, 11), True))
    bad = make_rows({number: number > 8 for number in range(1, 11)})
    return compare(
        [
            make_run("good", good, metrics={"test": {"accuracy": 1.0}}),
            make_run("[bad]", bad, metrics={"test": {"accuracy": 0.2}}),
        ]
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "true"),
        (0.25, "0.2500"),
        (0.0, "0.0000"),
        (0.00012, "1.2e-04"),
        (12345, "12,345"),
        ("0.1-0.2", "0.1-0.2"),
    ],
)
def test_metrics_are_formatted_by_type(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_settings_and_p_values_are_formatted() -> None:
    assert [setting_text(value) for value in (None, False, 128, "batch")] == [
        "-",
        "false",
        "128",
        "batch",
    ]
    assert [p_value_text(value) for value in (0.0321, 0.00001)] == ["0.0321", "< 0.0001"]


def test_the_best_value_is_marked_and_the_conclusion_is_printed() -> None:
    lines = [line.rstrip() for line in printed(good_and_bad()).splitlines()]

    start = lines.index("Metrics, test")
    assert lines[start + 1].split() == ["good", "[bad]"]  # brackets are not parsed as markup
    assert lines[start + 2].split() == ["accuracy", "1.0000", "*", "0.2000"]
    assert "good classifies significantly more test images correctly than [bad]." in lines
    assert "McNemar's test on 10 common test images, against good" in lines


def test_an_insignificant_difference_is_called_that() -> None:
    comparison = compare([make_run("first"), make_run("second")])
    assert verdict(comparison, comparison.pairs[0]) == (
        "second and first do not differ significantly."
    )


def test_the_curves_of_one_metric_share_a_scale() -> None:
    low = [{"epoch": epoch, "loss": loss} for epoch, loss in ((1, 0.5), (2, 0.0))]
    high = [{"epoch": epoch, "loss": loss} for epoch, loss in ((1, 1.0), (2, 0.5))]

    text = printed(compare([make_run("low", history=low), make_run("high", history=high)]))

    assert next(line for line in text.splitlines() if "▅▁" in line).startswith("loss")
    assert "█▅" in text


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    runs = [make_run(name, config={"data.images": "/long" * 40 + name}) for name in "abc"]
    assert max(map(len, printed(compare(runs), width=width).splitlines())) <= width


def test_a_terminal_without_unicode_gets_no_curves() -> None:
    text = printed(compare([make_run("a"), make_run("b")]), encoding="ascii")
    text.encode("ascii")
    assert "0.7000   0.3000" in text
