"""Figures and axes in the style of the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.extras import require_extra
from glasses_spark.reports.plots.palette import LIGHT, Palette

# matplotlib takes half a second to import and belongs to an extra, so the functions below
# import it when they draw.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# In CSS pixels: three small or two medium plots fit side by side on a wide page. On a phone a
# plot fills the width at nearly its own size, so that its text stays readable.
SMALL: Final = (320, 214)
_MEDIUM: Final = (380, 244)
TEXT_SIZE: Final = 11.5

# More workers are drawn as a band from the lowest to the highest value.
MAX_LINES: Final = len(LIGHT.series)

# Longer histories are drawn without markers: each marker is an element of the page.
_MAX_MARKERS: Final = 60

_UNIT_TICKS: Final = ([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


@contextmanager
def plot_style() -> Iterator[None]:
    """Apply the report's matplotlib settings while the block runs.

    Raises:
        SetupError: matplotlib is not installed.
    """
    style = require_extra("matplotlib.style", extra="report", purpose="drawing a plot")
    settings = {
        "axes.linewidth": 0.8,
        "font.size": TEXT_SIZE,
        "lines.linewidth": 1.8,
        "lines.markersize": 4.5,
        "svg.fonttype": "none",  # text elements instead of outlines
        "svg.hashsalt": "glasses_spark",  # reproducible ids
    }
    with style.context(["default", settings]):
        yield


def svg_text(figure: Figure, **options: Any) -> str:
    """Return a figure as SVG; ``options`` are those of ``Figure.savefig``."""
    text = StringIO()
    # Without the date, so that the same plot gives the same bytes.
    figure.savefig(text, format="svg", metadata={"Date": None}, **options)
    return text.getvalue()


def new_figure(
    palette: Palette, size: tuple[int, int] = _MEDIUM, *, top: float = 0.88, bottom: float = 0.17
) -> tuple[Figure, Axes]:
    """Return a new figure with one pair of axes.

    Args:
        palette: Colours of the axes.
        size: Width and height in CSS pixels.
        top: Upper edge of the axes, as a fraction of the height.
        bottom: Lower edge of the axes, as a fraction of the height.
    """
    from matplotlib.figure import Figure

    # At 72 dpi a unit of the SVG is a pixel of the page.
    figure = Figure((size[0] / 72, size[1] / 72), dpi=72, facecolor="none")
    return figure, new_axes(figure, palette, bottom, top)


def new_axes(figure: Figure, palette: Palette, bottom: float, top: float) -> Axes:
    """Add axes between two heights, given as fractions of the figure's height."""
    axes = figure.add_axes((0.13, bottom, 0.84, top - bottom))
    style_axes(axes, palette)
    return axes


def style_axes(axes: Axes, palette: Palette) -> None:
    """Reduce axes to a light grid, tick labels and the bottom line."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(color=palette.line, linewidth=0.8)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.muted)
    axes.tick_params(length=0, colors=palette.muted, labelsize=TEXT_SIZE - 1)
    axes.tick_params(which="minor", length=0)


def set_epoch_axis(axes: Axes) -> None:
    """Use integer epochs on the x axis."""
    from matplotlib.ticker import MaxNLocator

    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel("epoch", color=axes.spines["bottom"].get_edgecolor())


def set_unit_axes(axes: Axes, palette: Palette, x: str, y: str) -> None:
    """Use the range [0, 1] for both axes and label them ``x`` and ``y``."""
    axes.set_xticks(*_UNIT_TICKS)
    axes.set_yticks(*_UNIT_TICKS)
    axes.set(xlim=(-0.01, 1.02), ylim=(-0.01, 1.02))
    axes.set_xlabel(x, color=palette.muted)
    axes.set_ylabel(y, color=palette.muted)


def add_legend(axes: Axes, palette: Palette) -> None:
    """Add a one-line legend above the axes."""
    _, labels = axes.get_legend_handles_labels()
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.03),
        borderpad=0,
        borderaxespad=0,
        ncols=max(1, len(labels)),
        frameon=False,
        labelcolor=palette.ink,
        fontsize=TEXT_SIZE,
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.2,
    )


def marker_styles(epochs: Sequence[int]) -> Sequence[str]:
    """Return a marker per series, or no markers for long histories."""
    return "os^D" if len(epochs) <= _MAX_MARKERS else [""] * MAX_LINES


def mark_point(axes: Axes, x: float, y: float, palette: Palette, label: str) -> None:
    """Mark one point of a curve; ``label`` appears in the legend."""
    axes.plot(
        [x],
        [y],
        "o",
        color=palette.glasses,
        markeredgecolor=palette.paper,
        markeredgewidth=1.2,
        markersize=8,
        label=label,
        clip_on=False,
    )


def log_bars(
    axes: Axes, bins: Sequence[Any], counts: Sequence[int], colour: str, highest: int = 1
) -> None:
    """Draw counts as bars on a logarithmic scale.

    Args:
        axes: Where to draw.
        bins: Bins with ``low`` and ``high``, in [0, 1].
        counts: Count of each bin; 0 has no bar.
        colour: Colour of the bars.
        highest: Smallest upper end of the scale, for several axes with one scale.
    """
    axes.bar(
        [bin_.low for bin_ in bins],
        counts,
        width=[(bin_.high - bin_.low) * 0.88 for bin_ in bins],
        align="edge",
        color=colour,
    )
    axes.set_yscale("log")
    # The scale starts below 1, so that a count of 1 has a visible bar.
    highest = max(highest, max(counts, default=1), 10)
    axes.set(ylim=(0.4, highest * 1.6), xlim=(-0.01, 1.02))
    axes.grid(visible=False, axis="x")
    axes.minorticks_off()
    decades = [10**power for power in range(int(math.log10(highest)) + 1)]
    decades = decades[:: 1 + len(decades) // 4]
    axes.set_yticks(decades, [f"{decade:,}" for decade in decades])
    axes.set_xticks(*_UNIT_TICKS)
