"""Comparison of runs as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from glasses_spark.evaluation.compare import ALPHA, Comparison, Curve
from glasses_spark.reports.compare_text import (
    curve_ends,
    seconds_text,
    setting_text,
    test_heading,
    test_table,
    value_text,
    verdict,
)
from glasses_spark.reports.plots.axes import new_figure, set_epoch_axis
from glasses_spark.reports.plots.palette import Palette
from glasses_spark.reports.plots.plot import Plot
from glasses_spark.reports.plots.words import slug
from glasses_spark.reports.template import render_template

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More runs than colours repeat the colours with other dashes, as in the legend of the page.
_DASHES: Final = ("-", "--", ":")

# More epochs have no markers.
_MAX_MARKERS: Final = 20


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
    test_head, tests = test_table(comparison)
    return render_template(
        "compare.html.j2",
        names=list(comparison.names),
        folders=list(zip(comparison.names, comparison.folders, strict=True)),
        notes=comparison.notes,
        verdicts=[verdict(comparison, pair) for pair in comparison.pairs],
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
        curves=[_plot(curve, comparison.names) for curve in comparison.curves],
        config=[[line.name, *map(setting_text, line.values)] for line in comparison.config],
        timings=[
            [line.name.removesuffix("_s"), *map(seconds_text, line.values)]
            for line in comparison.timings
        ],
        environment=[
            [line.name, *map(setting_text, line.values)] for line in comparison.environment
        ],
    )


def _plot(curve: Curve, names: Sequence[str]) -> Plot:
    """Return the plot of one metric of all runs by epoch."""

    def draw(palette: Palette) -> Figure:
        figure, axes = new_figure(palette, top=0.96)
        for index, points in enumerate(curve.points):
            round_, colour = divmod(index, len(palette.series))
            axes.plot(
                [epoch for epoch, _ in points],
                [value for _, value in points],
                _DASHES[round_ % len(_DASHES)],
                color=palette.series[colour],
                marker="o" if len(points) <= _MAX_MARKERS else None,
            )
        set_epoch_axis(axes)
        return figure

    title = curve.name.replace("_", " ")
    ends = "; ".join(
        f"{name} from {first} to {last}"
        for name, (first, last) in zip(names, curve_ends(curve), strict=True)
    )
    return Plot(slug(curve.name), title, f"{title} by epoch: {ends}.", draw)
