"""Plots of the training: metrics by epoch, rows and seconds by worker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from glasses_spark.reports.plots.axes import (
    MAX_LINES,
    SMALL,
    add_legend,
    marker_styles,
    new_figure,
    set_epoch_axis,
)
from glasses_spark.reports.plots.palette import Palette
from glasses_spark.reports.plots.plot import Plot
from glasses_spark.reports.plots.words import count_text, number_text, slug

if TYPE_CHECKING:
    from matplotlib.figure import Figure


History: TypeAlias = Sequence[Mapping[str, Any]]


def learning_plots(history: History) -> list[Plot]:
    """Return plots of the loss and each metric by epoch, for training and validation rows.

    Args:
        history: Contents of ``history.json``.

    Returns:
        One plot per metric; empty without epochs.
    """
    names = [
        name
        for name in (history[0] if history else {})
        if name not in ("epoch", "rows", "workers") and not name.startswith("val_")
    ]
    return [_learning_plot(history, name) for name in names]


def worker_plots(history: History) -> list[Plot]:
    """Return plots of each worker's rows, seconds and staleness by epoch.

    Args:
        history: Contents of ``history.json``.

    Returns:
        Plots of rows and of seconds, and of staleness if any update was stale; empty if the
        history has no data on workers.
    """
    if not any(record.get("workers") for record in history):
        return []
    titles = {"rows": "Rows by worker", "seconds": "Seconds by worker"}
    if any(share.get("staleness") for record in history for share in record["workers"]):
        titles["staleness"] = "Staleness by worker"
    return [_worker_plot(history, name, title) for name, title in titles.items()]


def _learning_plot(history: History, name: str) -> Plot:
    epochs = [record["epoch"] for record in history]
    series: dict[str, list[float]] = {
        label: [record[key] for record in history]
        for label, key in (("training", name), ("validation", f"val_{name}"))
        if all(record.get(key) is not None for record in history)
    }

    def draw(palette: Palette) -> Figure:
        figure, axes = new_figure(palette)
        for (label, values), colour, marker in zip(
            series.items(), palette.series, "os", strict=False
        ):
            axes.plot(epochs, values, color=colour, marker=marker, label=label)
        if name == "loss":
            axes.set_ylim(bottom=0)
        set_epoch_axis(axes)
        add_legend(axes, palette)
        return figure

    title = name.replace("_", " ")
    return Plot(
        f"learning-{slug(name)}",
        f"{title[0].upper()}{title[1:]} by epoch",
        f"Line chart over {count_text(epochs, 'epoch')}. "
        + "; ".join(
            f"{part} {title} from {values[0]:.4f} to {values[-1]:.4f}"
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
            for index, worker in enumerate(workers):
                axes.plot(
                    epochs,
                    [_nan_if_missing(shares.get(worker)) for shares in by_epoch],
                    color=palette.series[index],
                    marker=marker_styles(epochs)[index],
                    # Earlier lines are wider, so that equal lines stay visible below each other.
                    linewidth=1.6 + len(workers) - 1 - index,
                    label=f"worker {worker}",
                )
        else:
            values = [_known(shares.values()) or [math.nan] for shares in by_epoch]
            axes.fill_between(
                epochs,
                [min(epoch_values) for epoch_values in values],
                [max(epoch_values) for epoch_values in values],
                color=palette.glasses,
                alpha=0.25,
                linewidth=0,
                label=f"all {len(workers)} workers",
            )
            means = [_mean(epoch_values) for epoch_values in values]
            axes.plot(epochs, means, color=palette.glasses, label="mean")
        axes.set_ylim(0, 1.1 * max(known, default=0) or 1)
        set_epoch_axis(axes)
        add_legend(axes, palette)
        return figure

    return Plot(
        f"workers-{name}",
        title,
        f"{count_text(workers, 'worker')} over {count_text(epochs, 'epoch')}: {name} between "
        f"{number_text(min(known, default=0))} and {number_text(max(known, default=0))} per epoch.",
        draw,
    )


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _nan_if_missing(value: float | None) -> float:
    return math.nan if value is None else value
