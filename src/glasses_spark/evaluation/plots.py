"""Plots: how a run went and how good it is, drawn for the page and as files."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

# matplotlib takes half a second to import, so it is imported where something is drawn.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from glasses_spark.evaluation.curves import Curves

History: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Palette:
    """The colours of a plot, each by what it is for.

    Attributes:
        ink: Text that is read first.
        muted: Numbers along the axes, and what a curve is compared with.
        line: Grid.
        paper: Behind a plot, a table or a text that stands by itself.
        page: Behind all of these.
        glasses: Images with glasses; the first series.
        none: Images without; the second series.
        third: The third series.
        fourth: The fourth series.
    """

    ink: str
    muted: str
    line: str
    paper: str
    page: str
    glasses: str
    none: str
    third: str
    fourth: str

    @property
    def series(self) -> tuple[str, ...]:
        """The colours of series, in their order."""
        return (self.glasses, self.none, self.third, self.fourth)


# Told apart by people with any colour vision; at least 4.5 to 1 against their paper.
LIGHT: Final = Palette(
    ink="#1b1d21",
    muted="#5a5f68",
    line="#e3e3df",
    paper="#ffffff",
    page="#f6f6f3",
    glasses="#1f5fae",
    none="#b04f0c",
    third="#2a7a4f",
    fourth="#7a4bb0",
)
DARK: Final = Palette(
    ink="#ececee",
    muted="#a6abb4",
    line="#33373e",
    paper="#1c1f24",
    page="#131519",
    glasses="#86b6f6",
    none="#f2a768",
    third="#74cf9b",
    fourth="#c6a6f2",
)
# Drawn with on the page: each is then replaced by the CSS variable of the same name, so that
# a plot follows the scheme of its reader. No colour that is meant looks like these.
_VARIABLES: Final = Palette(
    **{name: f"#0f0e{place:02x}" for place, name in enumerate(asdict(LIGHT))}
)

# In CSS pixels: three small ones or two others beside one another on a wide page. On the
# smallest screens one fills the width, at nearly its own size, so that its text can be read.
_SMALL: Final = (320, 214)
_MEDIUM: Final = (380, 244)
_TEXT: Final = 11.5

# More workers are a band from the lowest to the highest: nobody tells more lines apart.
_MOST_LINES: Final = len(LIGHT.series)
# More epochs are lines alone: each mark is an element of the page.
_MOST_MARKS: Final = 60


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
    with _style():
        svg = _svg(plot.draw(_VARIABLES))
    for role, colour in asdict(_VARIABLES).items():
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
        with _style():
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
            (folder / f"{plot.name}.svg").write_text(_svg(figure, **options), encoding="utf-8")
            figure.savefig(folder / f"{plot.name}.png", dpi=200, **options)


def learning_plots(history: History) -> list[Plot]:
    """Plot each figure that was followed during the fit, over training and validation rows.

    Args:
        history: What ``history.json`` holds.

    Returns:
        A plot for ``loss`` and one for each metric; none where there is no epoch.
    """
    names = [
        name
        for name in (history[0] if history else {})
        if name not in ("epoch", "rows", "workers") and not name.startswith("val_")
    ]
    return [_learning_plot(history, name) for name in names]


def worker_plots(history: History) -> list[Plot]:
    """Plot what each worker did in each epoch.

    Args:
        history: What ``history.json`` holds.

    Returns:
        Plots of rows and of seconds; one of staleness where any update was stale. None where
        the history does not name workers.
    """
    if not any(record.get("workers") for record in history):
        return []
    figures = {"rows": "Rows by worker", "seconds": "Seconds by worker"}
    if any(share.get("staleness") for record in history for share in record["workers"]):
        figures["staleness"] = "Staleness by worker"
    return [_worker_plot(history, name, title) for name, title in figures.items()]


def curve_plots(curves: Mapping[str, Curves], metrics: Mapping[str, Any]) -> list[Plot]:
    """Plot how well the parts are told apart, and how far the probabilities can be trusted.

    Args:
        curves: Curves by the name of their part; that of ``test`` must be there.
        metrics: Metrics by the name of their part, as in ``metrics.json``; those of the test
            part mark the threshold.

    Returns:
        Plots of the ROC curve, of precision over recall, of reliability and of the
        probabilities of both labels.
    """
    test, found = curves["test"], metrics.get("test") or {}
    plots = [_reliability_plot(test, found), _histogram_plot(test, found)]
    if len(test.roc) > 1:
        plots.insert(0, _roc_plot(curves, found))
    if len(test.precision_recall) > 1:
        plots.insert(len(plots) - 2, _precision_recall_plot(curves, found))
    return plots


def _learning_plot(history: History, name: str) -> Plot:
    epochs = [record["epoch"] for record in history]
    series: dict[str, list[float]] = {
        words: [record[key] for record in history]
        for words, key in (("training", name), ("validation", f"val_{name}"))
        if all(record.get(key) is not None for record in history)
    }

    def draw(palette: Palette) -> Figure:
        figure, axes = _figure(palette)
        for (words, values), colour, marker in zip(
            series.items(), palette.series, "os", strict=False
        ):
            axes.plot(epochs, values, color=colour, marker=marker, label=words)
        if name == "loss":
            axes.set_ylim(bottom=0)
        _epoch_axis(axes)
        _legend(axes, palette)
        return figure

    words = name.replace("_", " ")
    return Plot(
        f"learning-{_slug(name)}",
        f"{words[0].upper()}{words[1:]} by epoch",
        f"Line chart over {_count(epochs, 'epoch')}. "
        + "; ".join(
            f"{part} {words} goes from {values[0]:.4f} to {values[-1]:.4f}"
            for part, values in series.items()
        )
        + ".",
        draw,
    )


def _worker_plot(history: History, name: str, title: str) -> Plot:
    epochs = [record["epoch"] for record in history]
    by_epoch = [
        {share["worker"]: share.get(name) for share in record["workers"]} for record in history
    ]
    known = [value for shares in by_epoch for value in _known(shares.values())]
    workers = sorted({worker for shares in by_epoch for worker in shares})

    def draw(palette: Palette) -> Figure:
        figure, axes = _figure(palette, _SMALL)
        if len(workers) <= _MOST_LINES:
            for place, worker in enumerate(workers):
                axes.plot(
                    epochs,
                    [_number(shares.get(worker)) for shares in by_epoch],
                    color=palette.series[place],
                    marker=_markers(epochs)[place],
                    # The first is the widest, so that of equals the others leave it to be seen.
                    linewidth=1.6 + len(workers) - 1 - place,
                    label=f"worker {worker}",
                )
        else:
            by_worker = [_known(shares.values()) or [math.nan] for shares in by_epoch]
            lowest, highest = [min(one) for one in by_worker], [max(one) for one in by_worker]
            words = f"all {len(workers)} workers"
            axes.fill_between(
                epochs, lowest, highest, color=palette.glasses, alpha=0.25, linewidth=0, label=words
            )
            means = [_mean(one) for one in by_worker]
            axes.plot(epochs, means, color=palette.glasses, label="mean")
        axes.set_ylim(0, 1.1 * max(known, default=0) or 1)
        _epoch_axis(axes)
        _legend(axes, palette)
        return figure

    return Plot(
        f"workers-{name}",
        title,
        f"{_count(workers, 'worker')} over {_count(epochs, 'epoch')}: {name} between "
        f"{_shown(min(known, default=0))} and {_shown(max(known, default=0))} an epoch.",
        draw,
    )


def _roc_plot(curves: Mapping[str, Curves], found: Mapping[str, Any]) -> Plot:
    rates = _rates(found)

    def draw(palette: Palette) -> Figure:
        figure, axes = _figure(palette)
        # The corner in which good models differ, once more and larger.
        corner = axes.inset_axes((0.56, 0.13, 0.4, 0.34), xlim=(-0.004, 0.1), ylim=(0.9, 1.004))
        _plain(corner, palette)
        axes.plot([0, 1], [0, 1], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        for place in (axes, corner):
            for part, colour, width in _parts(curves, palette):
                x = [point.false_positive_rate for point in curves[part].roc]
                y = [point.true_positive_rate for point in curves[part].roc]
                place.plot(x, y, color=colour, linewidth=width, label=part)
            if rates:
                _mark(place, rates["fpr"], rates["recall"], palette, f"at {rates['threshold']:g}")
        corner.set_xticks([0, 0.05, 0.1], ["0", "0.05", "0.1"])
        corner.set_yticks([0.9, 0.95, 1], ["0.9", "0.95", "1"])
        _unit_axes(axes, palette, "false positive rate", "true positive rate")
        _legend(axes, palette)
        return figure

    at = (
        f" At the threshold {rates['threshold']:g} the true positive rate is "
        f"{rates['recall']:.4f} and the false positive rate {rates['fpr']:.4f}."
        if rates
        else ""
    )
    return Plot(
        "roc",
        "ROC curve",
        f"True positive rate over false positive rate; the area under the curve is "
        f"{_shown(found.get('roc_auc'))} on the test images. The corner up to a false positive "
        f"rate of 0.1 is shown larger.{at}",
        draw,
    )


def _precision_recall_plot(curves: Mapping[str, Curves], found: Mapping[str, Any]) -> Plot:
    rates = _rates(found)

    def draw(palette: Palette) -> Figure:
        from matplotlib.ticker import MaxNLocator

        figure, axes = _figure(palette)
        lowest = 1.0
        for part, colour, width in _parts(curves, palette):
            points = curves[part].precision_recall
            lowest = min(lowest, *(point.precision for point in points))
            axes.plot(
                [point.recall for point in points],
                [point.precision for point in points],
                color=colour,
                linewidth=width,
                label=part,
            )
        if rates:
            _mark(
                axes,
                rates["recall"],
                rates["precision"],
                palette,
                f"at {rates['threshold']:g}",
            )
            axes.axhline(
                rates["prevalence"], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1
            )
        _unit_axes(axes, palette, "recall", "precision")
        # Nothing is below the precision of guessing, so half of the paper would stay empty.
        bottom = math.floor(10 * min(lowest, rates["prevalence"] if rates else 1) - 0.5) / 10
        bottom = max(0.0, bottom)
        axes.set(ylim=(bottom - 0.02 * (1 - bottom), 1 + 0.03 * (1 - bottom)))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.yaxis.set_major_formatter("{x:g}")
        _legend(axes, palette)
        return figure

    chance = (
        f" Guessing would give a precision of {rates['prevalence']:.4f}, the dashed line."
        if rates
        else ""
    )
    return Plot(
        "precision-recall",
        "Precision over recall",
        f"Precision over recall; the area under the curve is {_shown(found.get('pr_auc'))} on the "
        f"test images.{chance}",
        draw,
    )


def _reliability_plot(test: Curves, found: Mapping[str, Any]) -> Plot:
    bins = [one for one in test.reliability if one.count]

    def draw(palette: Palette) -> Figure:
        figure, axes = _figure(palette, top=0.97, bottom=0.43)
        counts = _axes(figure, palette, 0.17, 0.36)
        axes.plot([0, 1], [0, 1], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        axes.plot(
            [one.mean_probability for one in bins],
            [one.fraction_positive for one in bins],
            color=palette.glasses,
            marker="o",
            label="test",
            clip_on=False,
        )
        _unit_axes(axes, palette, "", "part with glasses")
        axes.tick_params(labelbottom=False)
        _log_bars(counts, test.reliability, [one.count for one in test.reliability], palette.muted)
        counts.set_xlabel("probability of glasses", color=palette.muted)
        counts.set_ylabel("images", color=palette.muted)
        return figure

    error = found.get("expected_calibration_error")
    return Plot(
        "reliability",
        "Reliability",
        f"Part of the test images that have glasses over the probability that the model gave, in "
        f"{_count(bins, 'bin')}, with the number of images in each below; the diagonal is a "
        f"model that can be taken at its word."
        + (f" The expected calibration error is {_shown(error)}." if error is not None else ""),
        draw,
    )


def _histogram_plot(test: Curves, found: Mapping[str, Any]) -> Plot:
    bins = test.histogram
    threshold = found.get("threshold")

    def draw(palette: Palette) -> Figure:
        figure, above = _figure(palette, top=0.92, bottom=0.6)
        below = _axes(figure, palette, 0.17, 0.49)
        most = max((max(one.positives, one.negatives) for one in bins), default=1)
        _log_bars(above, bins, [one.positives for one in bins], palette.glasses, most)
        _log_bars(below, bins, [one.negatives for one in bins], palette.none, most)
        above.tick_params(labelbottom=False)
        for axes, words, colour in (
            (above, "with glasses", palette.glasses),
            (below, "without glasses", palette.none),
        ):
            axes.set_title(words, color=colour, loc="left", fontsize=_TEXT, pad=3)
            if threshold is not None:
                axes.axvline(threshold, color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        below.set_xlabel("probability of glasses", color=palette.muted)
        return figure

    positives, negatives = (
        sum(getattr(one, of) for one in bins) for of in ("positives", "negatives")
    )
    return Plot(
        "probabilities",
        "Probabilities by label",
        f"Two histograms of the probability of glasses over the test images, counts on a "
        f"logarithmic scale: {positives:,} images with glasses above, {negatives:,} without below.",
        draw,
    )


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib's own defaults and what ours differ in; what was set before comes back."""
    import matplotlib.style

    ours = {
        "axes.linewidth": 0.8,
        "font.size": _TEXT,
        "lines.linewidth": 1.8,
        "lines.markersize": 4.5,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "glasses_spark",  # the same ids each time
    }
    with matplotlib.style.context(["default", ours]):
        yield


def _svg(figure: Figure, **options: Any) -> str:
    text = StringIO()
    # Without the time: the same plot is the same text.
    figure.savefig(text, format="svg", metadata={"Date": None}, **options)
    return text.getvalue()


def _figure(
    palette: Palette, size: tuple[int, int] = _MEDIUM, *, top: float = 0.88, bottom: float = 0.17
) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    # 72 to the inch, so that a unit of the SVG is a pixel of the page.
    figure = Figure((size[0] / 72, size[1] / 72), dpi=72, facecolor="none")
    return figure, _axes(figure, palette, bottom, top)


def _axes(figure: Figure, palette: Palette, bottom: float, top: float) -> Axes:
    axes = figure.add_axes((0.13, bottom, 0.84, top - bottom))
    _plain(axes, palette)
    return axes


def _plain(axes: Axes, palette: Palette) -> None:
    """Leave of the axes what helps to read a value: a light grid, numbers and one line."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(color=palette.line, linewidth=0.8)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.muted)
    axes.tick_params(length=0, colors=palette.muted, labelsize=_TEXT - 1)
    axes.tick_params(which="minor", length=0)


def _epoch_axis(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel("epoch", color=axes.spines["bottom"].get_edgecolor())


def _unit_axes(axes: Axes, palette: Palette, x: str, y: str) -> None:
    ticks, words = [0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"]
    axes.set_xticks(ticks, words)
    axes.set_yticks(ticks, words)
    axes.set(xlim=(-0.01, 1.02), ylim=(-0.01, 1.02))
    axes.set_xlabel(x, color=palette.muted)
    axes.set_ylabel(y, color=palette.muted)


def _legend(axes: Axes, palette: Palette) -> None:
    _, labels = axes.get_legend_handles_labels()
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.03),
        borderpad=0,
        borderaxespad=0,
        ncols=max(1, len(labels)),
        frameon=False,
        labelcolor=palette.ink,
        fontsize=_TEXT,
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.2,
    )


def _markers(epochs: Sequence[int]) -> Sequence[str]:
    return "os^D" if len(epochs) <= _MOST_MARKS else [""] * _MOST_LINES


def _parts(curves: Mapping[str, Curves], palette: Palette) -> list[tuple[str, str, float]]:
    """Each part's name, colour and width of line; what counts, the test, lies on top."""
    ranked = sorted(curves, key=lambda part: part == "test")
    others = iter(palette.series[1:] * len(ranked))
    return [
        (part, palette.glasses, 2.2) if part == "test" else (part, next(others), 1.2)
        for part in ranked
    ]


def _mark(axes: Axes, x: float, y: float, palette: Palette, words: str) -> None:
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


def _log_bars(
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


def _rates(found: Mapping[str, Any]) -> dict[str, float]:
    """What the confusion counts say at the threshold; empty where one is undefined."""
    if not all(name in found for name in ("tp", "fp", "tn", "fn", "threshold")):
        return {}
    tp, fp, tn, fn = (found[name] for name in ("tp", "fp", "tn", "fn"))
    if not (tp + fn and fp + tn and tp + fp):
        return {}
    return {
        "threshold": found["threshold"],
        "recall": tp / (tp + fn),
        "fpr": fp / (fp + tn),
        "precision": tp / (tp + fp),
        "prevalence": (tp + fn) / (tp + fp + tn + fn),
    }


def _slug(name: str) -> str:
    # Names of metrics come from the configuration and go into ids and file names.
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _count(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _shown(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
