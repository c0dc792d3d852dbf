"""Plots: how a run went and how good it is, drawn for the page and as files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glasses_spark.reports.plots.axes import style_of, svg_text
from glasses_spark.reports.plots.palette import CSS_VARIABLES, LIGHT, Palette

# matplotlib takes half a second to import, so it is imported where something is drawn.
if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """One drawing.

    Attributes:
        name: Its file's name without the ending; unique among the plots of a run.
        title: What it shows, in a few words.
        alt: The same in a sentence or two with figures, for those who do not see it.
        draw: Draws it in the colours of a palette.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Palette], Figure]


def inline_svg(plot: Plot) -> str:
    """Draw a plot as an SVG element to stand in a page.

    Args:
        plot: What to draw.

    Returns:
        ``<svg>``: text as text, colours as the CSS variables ``--ink``, ``--muted`` and so on
        (see `Palette`), every id beginning with the plot's name. The same bytes for the same
        plot.
    """
    with style_of():
        svg = svg_text(plot.draw(CSS_VARIABLES))
    for role, colour in asdict(CSS_VARIABLES).items():
        svg = svg.replace(colour, f"var(--{role})")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    # The page's own font, whose letters are narrower than those that were measured.
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{plot.name}-", svg)
    size = re.findall(r'viewBox="([^"]*)"', svg)[0]
    head = (
        f'<svg class="plot" role="img" aria-label="{escape(plot.alt)}" '
        f'viewBox="{size}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + svg[svg.index(">") + 1 :].strip()


def write_plots(plots: Sequence[Plot], folder: Path) -> None:
    """Write plots as ``NAME.svg`` and ``NAME.png``, in the colours for white paper.

    Args:
        plots: What to draw.
        folder: Where to; it is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for plot in plots:
        with style_of():
            figure = plot.draw(LIGHT)
            figure.set_facecolor(LIGHT.paper)
            # Above the drawing: on the page the title stands in the page's own type.
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
