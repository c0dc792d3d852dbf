"""Cells: how this library's objects show themselves in a notebook.

HTML that loads nothing and runs no script, and takes its colour of text from whatever theme it
stands in. Notebooks keep what their cells show, so the charts are a few hundred bytes each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final, TypeGuard

# Series are as far from white as from black, 4 to 1 and more: themes do not tell in one common
# way which they are. The names are those that plots are drawn with.
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

# Of a chart, in CSS pixels: its size, and the place of its axes in it.
_WIDTH: Final = 300
_HEIGHT: Final = 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 292, 10, 108
_SERIES: Final = ("training", "validation")
_COLOURS: Final = ("glasses", "none")

# More epochs are a line alone: each mark is an element.
_MOST_MARKS: Final = 60


def cell(title: str, *parts: str) -> str:
    """Put parts together to what a cell shows.

    Args:
        title: What it is, in a few words.
        parts: HTML of the functions below.
    """
    # The style goes with each cell: any of them may be the only one that is shown.
    return (
        f'<div class="glasses-spark"><style>{_STYLE}</style>'
        f"<h4>{escape(title)}</h4>{''.join(parts)}</div>"
    )


def paragraph(text: str) -> str:
    """A line of text."""
    return f"<p>{escape(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "numbers") -> str:
    """A table.

    Args:
        head: Names of the columns; the first may be empty.
        rows: Texts of each row, the first of them its name. Of two lines in a text the second
            is smaller.
        kind: ``numbers``, to the right, or ``text``, to the left.
    """
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        f"{''.join(f'<td>{_lines(text)}</td>' for text in row[1:])}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{columns}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def folded(summary: str, *parts: str) -> str:
    """Parts that are seen after a click."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def side_by_side(figures: Iterable[tuple[str, str]], *, width: int = _WIDTH) -> str:
    """Figures in rows.

    Args:
        figures: HTML of the caption, and of the figure, each.
        width: Of one of them, in CSS pixels; on narrow screens they shrink.
    """
    shown = "".join(
        f'<figure style="flex: 0 1 {width}px"><figcaption>{caption}</figcaption>{figure}</figure>'
        for caption, figure in figures
    )
    return f'<div class="row">{shown}</div>' if shown else ""


def learning_charts(history: Sequence[Mapping[str, Any]]) -> str:
    """Chart the loss and each metric through the epochs, over training and validation rows.

    Args:
        history: One record an epoch, as in ``history.json``.

    Returns:
        A line chart each; nothing where there is no epoch.
    """
    return side_by_side(_learning(history))


def epochs_table(history: Sequence[Mapping[str, Any]]) -> str:
    """Lay out the history, a row an epoch."""
    names = [name for name in (history[0] if history else {}) if name not in ("epoch", "workers")]
    return table(
        ["epoch", *(name.replace("_", " ") for name in names)],
        ([str(one["epoch"]), *(number(one.get(name)) for name in names)] for one in history),
    )


def number(value: Any) -> str:
    """A number as tables show it: four digits after the point, thousands apart."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def _lines(text: str) -> str:
    first, *others = text.split("\n")
    return escape(first) + "".join(f"<br><small>{escape(other)}</small>" for other in others)


def _learning(history: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    first = history[0] if history else {}
    for name in first:
        if name in ("epoch", "rows", "workers") or name.startswith("val_"):
            continue
        series = [[one.get(key) for one in history] for key in (name, f"val_{name}")]
        epochs = [int(one["epoch"]) for one in history]
        words = name.replace("_", " ")
        caption = f"{escape(words[:1].upper() + words[1:])}{''.join(_key(series))}"
        yield caption, _chart(words, epochs, series)


def _key(series: Sequence[Sequence[float | None]]) -> Iterator[str]:
    for name, colour, values in zip(_SERIES, _COLOURS, series, strict=True):
        if any(map(_is_known, values)):
            yield (
                f'<small><i style="background: var(--{colour})"></i> {name} '
                f"{number(values[-1])}</small>"
            )


def _chart(words: str, epochs: Sequence[int], series: Sequence[Sequence[float | None]]) -> str:
    known = [value for values in series for value in values if _is_known(value)]
    if not known:
        return paragraph("no finite number")
    low, high = min(known), max(known)
    # Of equal numbers the line goes through the middle.
    rise, wide = (high - low) or 1.0, (epochs[-1] - epochs[0]) or 1

    def x(epoch: int) -> str:
        share = (epoch - epochs[0]) / wide if len(epochs) > 1 else 0.5
        return f"{_LEFT + share * (_RIGHT - _LEFT):.1f}"

    def y(value: float) -> str:
        share = (value - low) / rise if high > low else 0.5
        return f"{_BOTTOM - share * (_BOTTOM - _TOP):.1f}"

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
    for colour, values in zip(_COLOURS, series, strict=True):
        points = [
            (x(epoch), y(value))
            for epoch, value in zip(epochs, values, strict=True)
            if _is_known(value)
        ]
        line = " ".join(f"{across},{down}" for across, down in points)
        parts.append(f'<polyline points="{line}" style="stroke: var(--{colour})"/>' if line else "")
        if len(points) <= _MOST_MARKS:
            parts += [
                f'<circle cx="{across}" cy="{down}" r="2.4" style="fill: var(--{colour})"/>'
                for across, down in points
            ]
    said = "; ".join(
        f"{name} from {number(values[0])} to {number(values[-1])}"
        for name, values in zip(_SERIES, series, strict=True)
        if any(map(_is_known, values))
    )
    return (
        f'<svg role="img" aria-label="{escape(words)} through the epochs: {escape(said)}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(parts)}</svg>'
    )


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


# As Spark's own pages have it (`spark.redaction.regex`).
_SECRET: Final = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)


def setting(name: str, value: Any) -> str:
    """The value of a setting as a text; those that are secret by their name are left out."""
    return "(not shown)" if _SECRET.search(name) else str(value)
