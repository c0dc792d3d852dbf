"""Training plots: loss and accuracy by epoch, rows and seconds by worker."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from glasses_spark.reports.plots.axes import (
    MAX_LINES,
    SMALL,
    add_legend,
    marker_style,
    new_figure,
    set_epoch_axis,
)
from glasses_spark.reports.plots.palette import Palette
from glasses_spark.reports.plots.plot import Plot
from glasses_spark.reports.plots.words import count_text, shown

# matplotlib takes half a second to import, so it is imported where something is drawn.
if TYPE_CHECKING:
    from matplotlib.figure import Figure


History: TypeAlias = Sequence[Mapping[str, Any]]


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


def _learning_plot(history: History, name: str) -> Plot:
    epochs = [record["epoch"] for record in history]
    series: dict[str, list[float]] = {
        words: [record[key] for record in history]
        for words, key in (("training", name), ("validation", f"val_{name}"))
        if all(record.get(key) is not None for record in history)
    }

    def draw(palette: Palette) -> Figure:
        figure, axes = new_figure(palette)
        for (words, values), colour, marker in zip(
            series.items(), palette.series, "os", strict=False
        ):
            axes.plot(epochs, values, color=colour, marker=marker, label=words)
        if name == "loss":
            axes.set_ylim(bottom=0)
        set_epoch_axis(axes)
        add_legend(axes, palette)
        return figure

    words = name.replace("_", " ")
    return Plot(
        f"learning-{_slug(name)}",
        f"{words[0].upper()}{words[1:]} by epoch",
        f"Line chart over {count_text(epochs, 'epoch')}. "
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
        figure, axes = new_figure(palette, SMALL)
        if len(workers) <= MAX_LINES:
            for place, worker in enumerate(workers):
                axes.plot(
                    epochs,
                    [_number(shares.get(worker)) for shares in by_epoch],
                    color=palette.series[place],
                    marker=marker_style(epochs)[place],
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
        set_epoch_axis(axes)
        add_legend(axes, palette)
        return figure

    return Plot(
        f"workers-{name}",
        title,
        f"{count_text(workers, 'worker')} over {count_text(epochs, 'epoch')}: {name} between "
        f"{shown(min(known, default=0))} and {shown(max(known, default=0))} an epoch.",
        draw,
    )


def _slug(name: str) -> str:
    # Names of metrics come from the configuration and go into ids and file names.
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value
