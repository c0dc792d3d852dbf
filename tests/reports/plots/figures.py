"""The plots of a small run, for tests of plots."""

from __future__ import annotations

from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.plot import Plot
from glasses_spark.reports.plots.training import learning_plots, worker_plots
from tests.reports import pages


def all_plots() -> dict[str, Plot]:
    """Return one plot of each kind, by name."""
    history = pages.history()
    curves = {"train": pages.curves(), "test": pages.curves()}
    plots = [
        *learning_plots(history),
        *worker_plots(history),
        *curve_plots(curves, pages.METRICS),
    ]
    return {plot.name: plot for plot in plots}
