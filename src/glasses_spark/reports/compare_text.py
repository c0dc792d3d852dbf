"""Comparison of runs as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.evaluation.compare import ALPHA, Comparison, Curve, Line, Pair
from glasses_spark.notebook_html import number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Eight heights, from the lowest to the highest value of all runs.
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH: Final = 24


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a comparison.

    The best value of a line has a star and is bold, if the terminal supports it. The curves of
    one metric share one scale.

    Args:
        comparison: Comparison to print.
        console: Console to print to; long text wraps at its width.
    """
    for title, body in _sections(comparison, plain=_is_plain(console)):
        console.print(title, style="bold", markup=False, highlight=False)
        console.print(body, markup=False, highlight=False)
        console.print()


def value_text(value: Any) -> str:
    """Format a metric, with two digits if it is below 0.001."""
    if isinstance(value, bool):
        return str(value).lower()
    is_small = isinstance(value, float) and 0 < abs(value) < 0.001
    return f"{value:.1e}" if is_small else number(value)


def seconds_text(value: Any) -> str:
    """Format seconds with one decimal; a dash for None."""
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def setting_text(value: Any) -> str:
    """Format a value of the configuration as in TOML; a dash for None."""
    return str(value).lower() if isinstance(value, bool) else "-" if value is None else str(value)


def p_value_text(value: float) -> str:
    """Format a p-value with four decimals."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def curve_ends(curve: Curve) -> list[tuple[str, str]]:
    """Return the first and the last value of each run, formatted."""
    return [
        (value_text(points[0][1]), value_text(points[-1][1])) if points else ("-", "-")
        for points in curve.points
    ]


def verdict(comparison: Comparison, pair: Pair) -> str:
    """Return the conclusion of McNemar's test for a pair, in one sentence."""
    first = comparison.names[0]
    if not pair.differs:
        return f"{pair.name} and {first} do not differ significantly."
    better, other = (
        (first, pair.name) if pair.only_first_right > pair.only_other_right else (pair.name, first)
    )
    return f"{better} classifies significantly more test images correctly than {other}."


def test_heading(comparison: Comparison) -> str:
    """Return the heading of the tests."""
    return (
        f"McNemar's test on {comparison.common_rows:,} common test images, "
        f"against {comparison.names[0]}"
    )


def test_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of tests, with Holm's column for several tests."""
    several = len(comparison.pairs) > 1
    head = ["", "only this correct", f"only {comparison.names[0]} correct", "p"]
    rows = [
        [
            pair.name,
            f"{pair.only_other_right:,}",
            f"{pair.only_first_right:,}",
            p_value_text(pair.test.p_value),
            *([p_value_text(pair.adjusted_p_value)] if several else []),
            pair.test.method,
        ]
        for pair in comparison.pairs
    ]
    return [*head, *(["p, Holm"] if several else []), "test"], rows


def _sections(comparison: Comparison, *, plain: bool) -> Iterator[tuple[str, Any]]:
    names = comparison.names
    yield "Runs", _table(["", "folder"], list(zip(names, comparison.folders, strict=True)), text=1)
    if comparison.notes:
        yield "Notes", "\n".join(comparison.notes)
    for part, lines in comparison.metrics.items():
        yield f"Metrics, {part}", _table(["", *names], [_mark_best(line) for line in lines])
    if comparison.pairs:
        head, rows = test_table(comparison)
        yield test_heading(comparison), _table(head, rows)
        yield (
            f"Conclusion at significance level {ALPHA}",
            "\n".join(verdict(comparison, pair) for pair in comparison.pairs),
        )
    if comparison.curves:
        rows = [row for curve in comparison.curves for row in _curve_rows(curve, names, plain)]
        yield "Epochs", _table(["", "", "" if plain else "curve", "first", "last"], rows, text=2)
    yield (
        "Differences in configuration",
        _table(
            ["", *names],
            [[line.name, *map(setting_text, line.values)] for line in comparison.config],
            text=len(names),
        )
        if comparison.config
        else "None except run.dir.",
    )
    yield (
        "Run time in seconds",
        _table(
            ["", *names],
            [
                [line.name.removesuffix("_s"), *map(seconds_text, line.values)]
                for line in comparison.timings
            ],
        ),
    )
    yield (
        "Differences in environment",
        _table(
            ["", *names],
            [[line.name, *map(setting_text, line.values)] for line in comparison.environment],
            text=len(names),
        )
        if comparison.environment
        else "None.",
    )


def _mark_best(line: Line) -> list[Any]:
    from rich.text import Text

    # A space instead of the star keeps the digits aligned.
    return [
        line.name.replace("_", " "),
        *(
            Text(f"{value_text(value)} *", style="bold green")
            if index in line.best
            else f"{value_text(value)}  "
            for index, value in enumerate(line.values)
        ),
    ]


def _curve_rows(curve: Curve, names: Sequence[str], plain: bool) -> Iterator[list[str]]:
    values = [[value for _, value in points] for points in curve.points]
    low, high = min(map(min, filter(None, values))), max(map(max, filter(None, values)))
    for name, series, ends in zip(names, values, curve_ends(curve), strict=True):
        drawing = "" if plain else _sparkline(series, low, high)
        yield [curve.name if name == names[0] else "", name, drawing, *ends]


def _sparkline(series: Sequence[float], low: float, high: float) -> str:
    steps = min(len(series), _CURVE_WIDTH)
    if not steps:
        return ""
    sampled = [series[round(k * (len(series) - 1) / max(1, steps - 1))] for k in range(steps)]
    scale = (len(_HEIGHTS) - 1) / ((high - low) or 1.0)
    return "".join(_HEIGHTS[round((value - low) * scale)] for value in sampled)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, text: int = 0) -> Table:
    """Return a table with the first column and ``text`` further ones aligned left."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for index, name in enumerate(head):
        table.add_column(name, justify="left" if index <= text else "right", overflow="fold")
    for row in rows:
        # As Text, because rich would parse brackets in a name as markup.
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def _is_plain(console: Console) -> bool:
    """Return whether the encoding of the output lacks the characters of the curves."""
    try:
        _HEIGHTS.encode(console.encoding)
    except (LookupError, UnicodeEncodeError):
        return True
    return False
