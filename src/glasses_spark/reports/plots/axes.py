"""Axes: figures and axes in the style of the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.reports.plots.palette import LIGHT, Palette

# matplotlib takes half a second to import, so it is imported where something is drawn.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# In CSS pixels: three small ones or two others beside one another on a wide page. On the
# smallest screens one fills the width, at nearly its own size, so that its text can be read.
SMALL: Final = (320, 214)
_MEDIUM: Final = (380, 244)
TEXT_SIZE: Final = 11.5

# More workers are a band from the lowest to the highest: nobody tells more lines apart.
MAX_LINES: Final = len(LIGHT.series)

# More epochs are lines alone: each mark is an element of the page.
_MOST_MARKS: Final = 60


@contextmanager
def style_of() -> Iterator[None]:
    """Matplotlib's own defaults and what ours differ in; what was set before comes back."""
    import matplotlib.style

    ours = {
        "axes.linewidth": 0.8,
        "font.size": TEXT_SIZE,
        "lines.linewidth": 1.8,
        "lines.markersize": 4.5,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "glasses_spark",  # the same ids each time
    }
    with matplotlib.style.context(["default", ours]):
        yield


def svg_text(figure: Figure, **options: Any) -> str:
    text = StringIO()
    # Without the time: the same plot is the same text.
    figure.savefig(text, format="svg", metadata={"Date": None}, **options)
    return text.getvalue()


def new_figure(
    palette: Palette, size: tuple[int, int] = _MEDIUM, *, top: float = 0.88, bottom: float = 0.17
) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    # 72 to the inch, so that a unit of the SVG is a pixel of the page.
    figure = Figure((size[0] / 72, size[1] / 72), dpi=72, facecolor="none")
    return figure, new_axes(figure, palette, bottom, top)


def new_axes(figure: Figure, palette: Palette, bottom: float, top: float) -> Axes:
    axes = figure.add_axes((0.13, bottom, 0.84, top - bottom))
    plain(axes, palette)
    return axes


def plain(axes: Axes, palette: Palette) -> None:
    """Leave of the axes what helps to read a value: a light grid, numbers and one line."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(color=palette.line, linewidth=0.8)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.muted)
    axes.tick_params(length=0, colors=palette.muted, labelsize=TEXT_SIZE - 1)
    axes.tick_params(which="minor", length=0)


def set_epoch_axis(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel("epoch", color=axes.spines["bottom"].get_edgecolor())


def set_unit_axes(axes: Axes, palette: Palette, x: str, y: str) -> None:
    ticks, words = [0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"]
    axes.set_xticks(ticks, words)
    axes.set_yticks(ticks, words)
    axes.set(xlim=(-0.01, 1.02), ylim=(-0.01, 1.02))
    axes.set_xlabel(x, color=palette.muted)
    axes.set_ylabel(y, color=palette.muted)


def add_legend(axes: Axes, palette: Palette) -> None:
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


def marker_style(epochs: Sequence[int]) -> Sequence[str]:
    return "os^D" if len(epochs) <= _MOST_MARKS else [""] * MAX_LINES


def mark_point(axes: Axes, x: float, y: float, palette: Palette, words: str) -> None:
    axes.plot(
        [x],
        [y],
        "o",
        color=palette.glasses,
        markeredgecolor=palette.paper,
        markeredgewidth=1.2,
        markersize=8,
        label=words,
        clip_on=False,
    )


def log_bars(
    axes: Axes, bins: Sequence[Any], counts: Sequence[int], colour: str, most: int = 1
) -> None:
    """Bars of counts on a logarithmic scale that shows 1 and leaves 0 out."""
    axes.bar(
        [one.low for one in bins],
        counts,
        width=[(one.high - one.low) * 0.88 for one in bins],
        align="edge",
        color=colour,
    )
    axes.set_yscale("log")
    # Half a decade below 1, where a bar of 1 still has a height.
    highest = max(most, max(counts, default=1), 10)
    axes.set(ylim=(0.4, highest * 1.6), xlim=(-0.01, 1.02))
    axes.grid(visible=False, axis="x")
    axes.minorticks_off()
    decades = [10**power for power in range(int(math.log10(highest)) + 1)]
    decades = decades[:: 1 + len(decades) // 4]
    axes.set_yticks(decades, [f"{decade:,}" for decade in decades])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
