"""HTML of this library's objects in a notebook.

The HTML loads no external resource, runs no script and inherits its text colour from the theme.
Notebooks store the output of their cells, so each chart takes only a few hundred bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Number
from typing import Any, Final, TypeGuard

from glasses_spark.printable import escape_html

# The colours of series have a contrast of at least 4:1 with both white and black, because there
# is no common way to detect a dark theme. The variable names are those of the plots.
_STYLE: Final = """
.glasses-spark { --ink: currentColor; --paper: transparent;
  --muted: color-mix(in srgb, currentColor 72%, transparent);
  --line: color-mix(in srgb, currentColor 20%, transparent);
  --glasses: #3b7dd8; --none: #c2661f; --third: #2f8f5b; --fourth: #9061cf;
  max-width: 64rem; font: 14px/1.45 system-ui, sans-serif; }
.glasses-spark h4 { font-size: 1.15em; margin: .2em 0 .4em; }
.glasses-spark p { margin: .3em 0; color: var(--muted); overflow-wrap: anywhere; }
.glasses-spark .wide { overflow-x: auto; }
.glasses-spark table { border-collapse: collapse; font-size: 1em; margin: .4em 0; border: 0;
  font-variant-numeric: tabular-nums; }
.glasses-spark th, .glasses-spark td { background: none; border: 0; padding: .2em 1.4em .2em 0;
  border-bottom: 1px solid var(--line); text-align: right; vertical-align: baseline; }
.glasses-spark :is(th, td):first-child, .glasses-spark .text :is(th, td) { text-align: left; }
.glasses-spark tbody th { font-weight: 400; color: var(--muted); }
.glasses-spark .text td { overflow-wrap: anywhere; max-width: 34em; }
.glasses-spark small { color: var(--muted); }
.glasses-spark .row { display: flex; flex-wrap: wrap; gap: .8em 1.6em; margin: .5em 0; }
.glasses-spark figure { margin: 0; }
.glasses-spark figcaption { font-weight: 600; }
.glasses-spark figcaption small { font-weight: 400; margin-left: .9em; }
.glasses-spark i { display: inline-block; width: 1.2em; height: 3px; vertical-align: middle; }
.glasses-spark svg { display: block; width: 100%; height: auto; }
.glasses-spark svg text { font: 11px system-ui, sans-serif; fill: var(--muted); }
.glasses-spark svg polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.glasses-spark summary { cursor: pointer; color: var(--muted); }
"""

# Size of a chart and position of its axes, in CSS pixels.
_WIDTH: Final = 300
_HEIGHT: Final = 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 292, 10, 108
_SERIES: Final = ("training", "validation")
_COLOURS: Final = ("glasses", "none")

# Longer histories are drawn without markers, because each marker is an element.
_MAX_MARKERS: Final = 60

# The default of Spark's `spark.redaction.regex`.
_SECRET: Final = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)


def cell(title: str, *parts: str) -> str:
    """Return the HTML of a cell.

    Args:
        title: Short title.
        parts: HTML from the functions below.
    """
    # Every cell includes the style, because a notebook may show it alone.
    return (
        f'<div class="glasses-spark"><style>{_STYLE}</style>'
        f"<h4>{escape_html(title)}</h4>{''.join(parts)}</div>"
    )


def paragraph(text: str) -> str:
    """Return a paragraph of escaped text."""
    return f"<p>{escape_html(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "numbers") -> str:
    """Return a table.

    Args:
        head: Names of the columns; the first may be empty.
        rows: Texts of each row, the name of the row first. The second and further lines of a
            text are smaller.
        kind: ``numbers``, aligned right, or ``text``, aligned left.
    """
    columns = "".join(f'<th scope="col">{escape_html(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape_html(row[0])}</th>'
        f"{''.join(f'<td>{_lines(text)}</td>' for text in row[1:])}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{columns}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def folded(summary: str, *parts: str) -> str:
    """Return parts that the reader can expand."""
    return f"<details><summary>{escape_html(summary)}</summary>{''.join(parts)}</details>"


def side_by_side(figures: Iterable[tuple[str, str]], *, width: int = _WIDTH) -> str:
    """Return figures in rows.

    Args:
        figures: Pairs of the HTML of a caption and of a figure.
        width: Width of a figure in CSS pixels; smaller on narrow screens.
    """
    items = "".join(
        f'<figure style="flex: 0 1 {width}px"><figcaption>{caption}</figcaption>{figure}</figure>'
        for caption, figure in figures
    )
    return f'<div class="row">{items}</div>' if items else ""


def learning_charts(history: Sequence[Mapping[str, Any]]) -> str:
    """Return a line chart of the loss and of each metric by epoch, for training and validation.

    Args:
        history: One record per epoch, as in ``history.json``.

    Returns:
        HTML; the empty string without epochs.
    """
    return side_by_side(_captioned_charts(history))


def epochs_table(history: Sequence[Mapping[str, Any]]) -> str:
    """Return the history as a table with one row per epoch."""
    names = [name for name in (history[0] if history else {}) if name not in ("epoch", "workers")]
    return table(
        ["epoch", *(name.replace("_", " ") for name in names)],
        (
            [str(record["epoch"]), *(number(record.get(name)) for name in names)]
            for record in history
        ),
    )


def number(value: Any) -> str:
    """Format a value: four decimals for floats, thousands separated, a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, Number) else str(value)


def is_secret(name: str) -> bool:
    """Return whether the value of a setting is secret, by Spark's default rule for names."""
    return _SECRET.search(name) is not None


def setting(name: str, value: Any) -> str:
    """Format the value of a setting; values of secret settings are not shown."""
    return "(not shown)" if is_secret(name) else str(value)


def _lines(text: str) -> str:
    first, *further = text.split("\n")
    return escape_html(first) + "".join(
        f"<br><small>{escape_html(line)}</small>" for line in further
    )


def _captioned_charts(history: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    first = history[0] if history else {}
    for name in first:
        if name in ("epoch", "rows", "workers") or name.startswith("val_"):
            continue
        series = [[record.get(key) for record in history] for key in (name, f"val_{name}")]
        epochs = [int(record["epoch"]) for record in history]
        title = name.replace("_", " ")
        caption = f"{escape_html(title[:1].upper() + title[1:])}{''.join(_legend(series))}"
        yield caption, _chart(title, epochs, series)


def _legend(series: Sequence[Sequence[float | None]]) -> Iterator[str]:
    for name, colour, values in zip(_SERIES, _COLOURS, series, strict=True):
        if any(map(_is_finite, values)):
            yield (
                f'<small><i style="background: var(--{colour})"></i> {name} '
                f"{number(values[-1])}</small>"
            )


def _chart(title: str, epochs: Sequence[int], series: Sequence[Sequence[float | None]]) -> str:
    finite = [value for values in series for value in values if _is_finite(value)]
    if not finite:
        return paragraph("no finite values")
    low, high = min(finite), max(finite)

    # A constant series, or a single epoch, is drawn in the middle.
    def x(epoch: int) -> str:
        share = (epoch - epochs[0]) / (epochs[-1] - epochs[0]) if len(epochs) > 1 else 0.5
        return f"{_LEFT + share * (_RIGHT - _LEFT):.1f}"

    def y(value: float) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{_BOTTOM - share * (_BOTTOM - _TOP):.1f}"

    parts = _axis_labels(epochs, low, high, x, y)
    for colour, values in zip(_COLOURS, series, strict=True):
        points = [
            (x(epoch), y(value))
            for epoch, value in zip(epochs, values, strict=True)
            if _is_finite(value)
        ]
        parts += _line(points, colour)
    ends = "; ".join(
        f"{name} from {number(values[0])} to {number(values[-1])}"
        for name, values in zip(_SERIES, series, strict=True)
        if any(map(_is_finite, values))
    )
    return (
        f'<svg role="img" aria-label="{escape_html(title)} by epoch: {escape_html(ends)}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(parts)}</svg>'
    )


def _axis_labels(
    epochs: Sequence[int],
    low: float,
    high: float,
    x: Callable[[int], str],
    y: Callable[[float], str],
) -> list[str]:
    """Return grid lines with labels at the lowest and highest value, and the end epochs."""
    parts = []
    for value in sorted({low, high}):
        parts.append(
            f'<path d="M{_LEFT} {y(value)}H{_RIGHT}" stroke="var(--line)"/>'
            f'<text x="{_LEFT - 6}" y="{y(value)}" dy="4" text-anchor="end">{value:.3g}</text>'
        )
    for epoch, anchor in {epochs[0]: "start", epochs[-1]: "end"}.items():
        parts.append(
            f'<text x="{x(epoch)}" y="{_HEIGHT - 6}" text-anchor="{anchor}">epoch {epoch}</text>'
        )
    return parts


def _line(points: Sequence[tuple[str, str]], colour: str) -> list[str]:
    line = " ".join(f"{x},{y}" for x, y in points)
    parts = [f'<polyline points="{line}" style="stroke: var(--{colour})"/>'] if line else []
    if len(points) <= _MAX_MARKERS:
        parts += [
            f'<circle cx="{x}" cy="{y}" r="2.4" style="fill: var(--{colour})"/>' for x, y in points
        ]
    return parts


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
