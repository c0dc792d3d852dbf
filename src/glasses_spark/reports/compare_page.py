"""Compare, as a page: the tables and the learning curves over each other, in one file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import Final

from glasses_spark.evaluation.compare import ALPHA, Comparison, Curve
from glasses_spark.reports.compare_text import (
    curve_ends,
    seconds,
    setting,
    shown,
    test_heading,
    test_table,
    verdict,
)

# One a run, on white and on dark paper; told apart with any colour vision, and at least
# 4.5 to 1 against the paper. Further runs take them again with other dashes.
_COLOURS: Final = (
    ("#1f5fae", "#86b6f6"),
    ("#b04f0c", "#f2a768"),
    ("#2a7a4f", "#74cf9b"),
    ("#7a4bb0", "#c6a6f2"),
)

_DASHES: Final = ("-", "--", ":")

# Drawn with, then replaced by CSS variables, so that a plot follows its reader's scheme.
_INK: Final = "#0f0e00"
_LINE: Final = "#0f0e01"
_RUNS: Final = tuple(f"#0f0e{place + 16:02x}" for place in range(len(_COLOURS)))
_WIDTH: Final = 360
_HEIGHT: Final = 230


def render_page(comparison: Comparison) -> str:
    """Make the page.

    Args:
        comparison: What it is to show.

    Returns:
        HTML that loads nothing and runs no script; light or dark as its reader's system is.
        Whatever comes from outside, such as a folder's name, is shown as text.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("glasses_spark", "reports/templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    test_head, tests = test_table(comparison)
    return environment.get_template("compare.html.j2").render(
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
                            (shown(value), place in line.best)
                            for place, value in enumerate(line.values)
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
        config=[[line.name, *map(setting, line.values)] for line in comparison.config],
        timings=[
            [line.name.removesuffix("_s"), *map(seconds, line.values)]
            for line in comparison.timings
        ],
        environment=[[line.name, *map(setting, line.values)] for line in comparison.environment],
    )


def _svg(curve: Curve, names: Sequence[str]) -> str:
    """Draw one figure of all runs as an SVG element."""
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    text = StringIO()
    # Matplotlib's own defaults, whatever is set elsewhere; text stays text.
    settings = {"svg.fonttype": "none", "svg.hashsalt": curve.name, "font.size": 11}
    with matplotlib.style.context(["default", settings]):
        # 72 to the inch, so that a unit of the SVG is a pixel of the page.
        figure = Figure((_WIDTH / 72, _HEIGHT / 72), dpi=72, facecolor="none")
        axes = figure.add_axes((0.14, 0.2, 0.83, 0.76), facecolor="none")
        for place, points in enumerate(curve.points):
            lap, colour = divmod(place, len(_RUNS))
            axes.plot(
                [epoch for epoch, _ in points],
                [value for _, value in points],
                _DASHES[lap % len(_DASHES)],
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
    return _for_a_page(text.getvalue(), curve, names)


def _for_a_page(svg: str, curve: Curve, names: Sequence[str]) -> str:
    variables = {_INK: "var(--muted)", _LINE: "var(--line)"}
    variables |= {colour: f"var(--run-{place})" for place, colour in enumerate(_RUNS)}
    for colour, variable in variables.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    # The page's own font, whose letters are narrower than those that were measured.
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{re.sub('[^a-z0-9]+', '-', curve.name)}-", svg)
    described = "; ".join(
        f"{name} from {first} to {last}"
        for name, (first, last) in zip(names, curve_ends(curve), strict=True)
    )
    alt = escape(f"{curve.name.replace('_', ' ')} through the epochs: {described}.")
    head = (
        f'<svg role="img" aria-label="{alt}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    svg = svg[svg.index("<svg") :]
    return head + svg[svg.index(">") + 1 :].strip()
