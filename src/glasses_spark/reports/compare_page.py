"""Comparison of runs as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import Final

from glasses_spark.evaluation.compare import ALPHA, Comparison, Curve
from glasses_spark.extras import require_extra
from glasses_spark.reports.compare_text import (
    curve_ends,
    seconds_text,
    setting_text,
    test_heading,
    test_table,
    value_text,
    verdict,
)

# One colour per run, for light and dark paper; distinguishable with any type of colour vision,
# contrast with the paper at least 4.5:1. Further runs repeat them with other dashes.
_COLOURS: Final = (
    ("#1f5fae", "#86b6f6"),
    ("#b04f0c", "#f2a768"),
    ("#2a7a4f", "#74cf9b"),
    ("#7a4bb0", "#c6a6f2"),
)

_DASHES: Final = ("-", "--", ":")

# Placeholders, replaced by CSS variables, so that a plot follows the reader's colour scheme.
_INK: Final = "#0f0e00"
_LINE: Final = "#0f0e01"
_RUNS: Final = tuple(f"#0f0e{index + 16:02x}" for index in range(len(_COLOURS)))
_WIDTH: Final = 360
_HEIGHT: Final = 230


def render_page(comparison: Comparison) -> str:
    """Render the page.

    Args:
        comparison: Comparison to show.

    Returns:
        HTML that loads no external resource and runs no script, in a light or dark scheme as
        the reader's system prefers. External text, such as folder names, is escaped.

    Raises:
        SetupError: Jinja2 or matplotlib is not installed.
    """
    jinja2 = require_extra("jinja2", extra="report", purpose="the comparison page")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("glasses_spark", "reports/templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    test_head, tests = test_table(comparison)
    page: str = environment.get_template("compare.html.j2").render(
        names=list(comparison.names),
        folders=list(zip(comparison.names, comparison.folders, strict=True)),
        notes=comparison.notes,
        verdicts=[verdict(comparison, pair) for pair in comparison.pairs],
        colours=_COLOURS,
        metrics=[
            (
                part,
                [
                    (
                        line.name.replace("_", " "),
                        [
                            (value_text(value), index in line.best)
                            for index, value in enumerate(line.values)
                        ],
                    )
                    for line in lines
                ],
            )
            for part, lines in comparison.metrics.items()
        ],
        alpha=ALPHA,
        test_heading=test_heading(comparison),
        test_head=["Run", *test_head[1:]],
        tests=tests,
        curves=[
            (curve.name.replace("_", " "), _svg(curve, comparison.names))
            for curve in comparison.curves
        ],
        config=[[line.name, *map(setting_text, line.values)] for line in comparison.config],
        timings=[
            [line.name.removesuffix("_s"), *map(seconds_text, line.values)]
            for line in comparison.timings
        ],
        environment=[
            [line.name, *map(setting_text, line.values)] for line in comparison.environment
        ],
    )
    return page


def _svg(curve: Curve, names: Sequence[str]) -> str:
    """Draw one metric of all runs as an SVG element."""
    style = require_extra("matplotlib.style", extra="report", purpose="the comparison page")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    text = StringIO()
    # From matplotlib's defaults, not the user's settings; with text elements, not outlines.
    settings = {"svg.fonttype": "none", "svg.hashsalt": curve.name, "font.size": 11}
    with style.context(["default", settings]):
        # At 72 dpi a unit of the SVG is a pixel of the page.
        figure = Figure((_WIDTH / 72, _HEIGHT / 72), dpi=72, facecolor="none")
        axes = figure.add_axes((0.14, 0.2, 0.83, 0.76), facecolor="none")
        for index, points in enumerate(curve.points):
            round_, colour = divmod(index, len(_RUNS))
            axes.plot(
                [epoch for epoch, _ in points],
                [value for _, value in points],
                _DASHES[round_ % len(_DASHES)],
                color=_RUNS[colour],
                linewidth=1.8,
                marker="o" if len(points) <= 20 else None,
                markersize=4,
            )
        axes.grid(color=_LINE, linewidth=0.8)
        axes.spines[["left", "top", "right"]].set_visible(False)
        axes.spines["bottom"].set_color(_INK)
        axes.tick_params(length=0, colors=_INK, labelsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlabel("epoch", color=_INK)
        figure.savefig(text, format="svg", metadata={"Date": None})
    return _inline(text.getvalue(), curve, names)


def _inline(svg: str, curve: Curve, names: Sequence[str]) -> str:
    variables = {_INK: "var(--muted)", _LINE: "var(--line)"}
    variables |= {colour: f"var(--run-{index})" for index, colour in enumerate(_RUNS)}
    for colour, variable in variables.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    # The font of the page, which is narrower than the font that matplotlib measured.
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{re.sub('[^a-z0-9]+', '-', curve.name)}-", svg)
    ends = "; ".join(
        f"{name} from {first} to {last}"
        for name, (first, last) in zip(names, curve_ends(curve), strict=True)
    )
    alt = escape(f"{curve.name.replace('_', ' ')} by epoch: {ends}.")
    head = (
        f'<svg role="img" aria-label="{alt}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    svg = svg[svg.index("<svg") :]
    return head + svg[svg.index(">") + 1 :].strip()
