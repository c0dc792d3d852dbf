"""Tests for glasses_spark.reports.plots.training."""

from __future__ import annotations

from glasses_spark.reports.plots.plot import inline_svg
from glasses_spark.reports.plots.training import learning_plots, worker_plots
from tests.reports import pages


def test_each_metric_has_a_plot_with_training_and_validation() -> None:
    loss, accuracy = learning_plots(pages.history())

    assert (loss.name, loss.title) == ("learning-loss", "Loss by epoch")
    assert accuracy.name == "learning-accuracy"
    assert loss.alt == (
        "Line chart over 3 epochs. training loss from 0.6000 to 0.2000; validation loss from "
        "0.7000 to 0.2333."
    )
    assert ">validation</text>" in inline_svg(loss)


def test_a_run_without_validation_has_one_line() -> None:
    loss = learning_plots(pages.history(validation=False))[0]
    assert "validation" not in inline_svg(loss)


def test_no_epochs_have_no_plots() -> None:
    assert learning_plots([]) == worker_plots([]) == []


def test_names_of_metrics_become_file_names() -> None:
    (plot,) = learning_plots([{"epoch": 1, "AUC (PR)": 0.5}])
    assert plot.name == "learning-auc-pr"


def test_workers_have_plots_of_rows_seconds_and_staleness() -> None:
    plots = worker_plots(pages.history())
    assert [plot.name for plot in plots] == [
        "workers-rows",
        "workers-seconds",
        "workers-staleness",
    ]
    assert plots[1].alt == "2 workers over 3 epochs: seconds between 3.5000 and 3.6000 per epoch."
    assert ">worker 1</text>" in inline_svg(plots[0])


def test_a_staleness_of_zero_is_not_plotted() -> None:
    history = pages.history()
    for record in history:
        for share in record["workers"]:
            share["staleness"] = 0.0
    assert [plot.name for plot in worker_plots(history)] == ["workers-rows", "workers-seconds"]


def test_many_workers_are_a_band_and_a_mean() -> None:
    svg = inline_svg(worker_plots(pages.history(workers=30))[0])
    assert ">all 30 workers</text>" in svg
    assert ">mean</text>" in svg
    assert ">worker 0</text>" not in svg
