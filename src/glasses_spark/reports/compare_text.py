"""Compare, as text: tables for the terminal, as wide as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.evaluation.compare import ALPHA, Comparison, Curve, Line, Pair

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Eight heights for a curve, the lowest value of all runs to the highest.
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH: Final = 24


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print runs side by side.

    The best of a line has a star, and is bold where the terminal can show it. Curves of one
    figure share one scale.

    Args:
        comparison: What to print.
        console: Where to; its width is kept, by wrapping what is long.
    """
    for title, body in _sections(comparison, plain=_is_plain(console)):
        console.print(title, style="bold", markup=False, highlight=False)
        console.print(body, markup=False, highlight=False)
        console.print()


def shown(value: Any) -> str:
    """Return a value as people read it: a dash for none, four decimals for a fraction."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def seconds(value: Any) -> str:
    """Return seconds with one decimal."""
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def setting(value: Any) -> str:
    """Return a value of the configuration as it stands there."""
    return str(value).lower() if isinstance(value, bool) else "-" if value is None else str(value)


def p_value(value: float) -> str:
    """Return a p-value with as many digits as anyone can use."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def curve_ends(curve: Curve) -> list[tuple[str, str]]:
    """Return the first and the last value of each run."""
    return [
        (shown(points[0][1]), shown(points[-1][1])) if points else ("-", "-")
        for points in curve.points
    ]


def verdict(comparison: Comparison, pair: Pair) -> str:
    """Say in one sentence what the test of a pair says."""
    first = comparison.names[0]
    if not pair.differs:
        return f"{pair.name} and {first}: the difference may well be chance."
    better, other = (
        (first, pair.name) if pair.only_first_right > pair.only_other_right else (pair.name, first)
    )
    return f"{better} is right more often than {other}, by more than chance explains."


def test_heading(comparison: Comparison) -> str:
    """Return the line above the tests."""
    return (
        f"McNemar's test on the {comparison.common_rows:,} test rows that all runs have, "
        f"against {comparison.names[0]}"
    )


def test_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of the tests; Holm's column where there are several."""
    several = len(comparison.pairs) > 1
    head = ["", "only it right", f"only {comparison.names[0]} right", "p"]
    rows = [
        [
            pair.name,
            f"{pair.only_other_right:,}",
            f"{pair.only_first_right:,}",
            p_value(pair.test.p_value),
            *([p_value(pair.adjusted_p_value)] if several else []),
            pair.test.method,
        ]
        for pair in comparison.pairs
    ]
    return [*head, *(["p, Holm"] if several else []), "test"], rows


def _sections(comparison: Comparison, *, plain: bool) -> Iterator[tuple[str, Any]]:
    names = comparison.names
    yield "Runs", _table(["", "folder"], list(zip(names, comparison.folders, strict=True)), text=1)
    if comparison.notes:
        yield "Note", "\n".join(comparison.notes)
    for part, lines in comparison.metrics.items():
        yield f"Metrics, {part}", _table(["", *names], [_marked(line) for line in lines])
    if comparison.pairs:
        head, rows = test_table(comparison)
        yield test_heading(comparison), _table(head, rows)
        yield (
            f"Verdict, at a level of {ALPHA}",
            "\n".join(verdict(comparison, pair) for pair in comparison.pairs),
        )
    if comparison.curves:
        rows = [row for curve in comparison.curves for row in _curve_rows(curve, names, plain)]
        yield "Epochs", _table(["", "", "" if plain else "course", "first", "last"], rows, text=2)
    yield (
        "Configuration, where it differs",
        _table(
            ["", *names],
            [[line.name, *map(setting, line.values)] for line in comparison.config],
            text=len(names),
        )
        if comparison.config
        else "The same, but for run.dir.",
    )
    yield (
        "Seconds",
        _table(
            ["", *names],
            [
                [line.name.removesuffix("_s"), *map(seconds, line.values)]
                for line in comparison.timings
            ],
        ),
    )
    yield (
        "Environment, where it differs",
        _table(
            ["", *names],
            [[line.name, *map(setting, line.values)] for line in comparison.environment],
            text=len(names),
        )
        if comparison.environment
        else "The same.",
    )


def _marked(line: Line) -> list[Any]:
    from rich.text import Text

    # A space where there is no star keeps the digits below each other.
    return [
        line.name.replace("_", " "),
        *(
            Text(f"{shown(value)} *", style="bold green")
            if place in line.best
            else f"{shown(value)}  "
            for place, value in enumerate(line.values)
        ),
    ]


def _curve_rows(curve: Curve, names: Sequence[str], plain: bool) -> Iterator[list[str]]:
    values = [[value for _, value in points] for points in curve.points]
    low, high = min(map(min, filter(None, values))), max(map(max, filter(None, values)))
    for name, course, ends in zip(names, values, curve_ends(curve), strict=True):
        drawn = "" if plain else _drawn(course, low, high)
        yield [curve.name if name == names[0] else "", name, drawn, *ends]


def _drawn(course: Sequence[float], low: float, high: float) -> str:
    steps = min(len(course), _CURVE_WIDTH)
    if not steps:
        return ""
    chosen = [course[round(k * (len(course) - 1) / max(1, steps - 1))] for k in range(steps)]
    scale = (len(_HEIGHTS) - 1) / ((high - low) or 1.0)
    return "".join(_HEIGHTS[round((value - low) * scale)] for value in chosen)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, text: int = 0) -> Table:
    """Lay out rows: the first column and ``text`` further ones left, numbers right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place <= text else "right", overflow="fold")
    for row in rows:
        # As Text, lest brackets in a name are taken for markup.
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def _is_plain(console: Console) -> bool:
    """Return whether the output cannot hold the signs of which curves are drawn."""
    try:
        _HEIGHTS.encode(console.encoding)
    except (LookupError, UnicodeEncodeError):
        return True
    return False
