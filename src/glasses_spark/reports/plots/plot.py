"""Plots, as inline SVG for a page or as files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glasses_spark.printable import escape_html
from glasses_spark.reports.plots.axes import plot_style, svg_text
from glasses_spark.reports.plots.palette import CSS_VARIABLES, LIGHT, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        name: File name without extension; unique among the plots of a run.
        title: Short title.
        alt: Text alternative in one or two sentences, with the main values.
        draw: Draws the plot in the colours of a palette; needs `plot_style`.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Palette], Figure]


def inline_svg(plot: Plot) -> str:
    """Draw a plot as an SVG element for an HTML page.

    Args:
        plot: Plot to draw.

    Returns:
        An ``<svg>`` element with text elements, the CSS variables ``--ink``, ``--muted`` and so
        on as colours (see `Palette`), and ids that start with the plot's name. The same plot
        gives the same bytes.

    Raises:
        SetupError: matplotlib is not installed.
    """
    with plot_style():
        svg = svg_text(plot.draw(CSS_VARIABLES))
    for role, colour in asdict(CSS_VARIABLES).items():
        svg = svg.replace(colour, f"var(--{role})")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    # The font of the page, which is narrower than the font that matplotlib measured.
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{plot.name}-", svg)
    size = re.findall(r'viewBox="([^"]*)"', svg)[0]
    head = (
        f'<svg class="plot" role="img" aria-label="{escape_html(plot.alt)}" '
        f'viewBox="{size}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + svg[svg.index(">") + 1 :].strip()


def write_plots(plots: Sequence[Plot], folder: Path) -> None:
    """Write plots as ``NAME.svg`` and ``NAME.png``, in the light palette.

    Args:
        plots: Plots to draw.
        folder: Target folder; created if missing.

    Raises:
        SetupError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for plot in plots:
        with plot_style():
            figure = plot.draw(LIGHT)
            figure.set_facecolor(LIGHT.paper)
            # Files have the title in the figure; the page has it in a heading.
            figure.text(
                0.02,
                1.05,
                plot.title,
                color=LIGHT.ink,
                fontsize=13,
                weight="bold",
                parse_math=False,
            )
            options: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.15}
            (folder / f"{plot.name}.svg").write_text(svg_text(figure, **options), encoding="utf-8")
            figure.savefig(folder / f"{plot.name}.png", dpi=200, **options)
