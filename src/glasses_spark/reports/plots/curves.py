"""Plots of curves: ROC, precision-recall, reliability and histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glasses_spark.columns import TEST
from glasses_spark.reports.plots.axes import (
    TEXT_SIZE,
    add_legend,
    log_bars,
    mark_point,
    new_axes,
    new_figure,
    set_unit_axes,
    style_axes,
)
from glasses_spark.reports.plots.palette import Palette
from glasses_spark.reports.plots.plot import Plot
from glasses_spark.reports.plots.words import count_text, number_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from glasses_spark.evaluation.curves import Curves


def curve_plots(curves: Mapping[str, Curves], metrics: Mapping[str, Any]) -> list[Plot]:
    """Return plots of the curves.

    Args:
        curves: Curves by part, ``test`` among them.
        metrics: Metrics by part, as in ``metrics.json``; those of the test set mark the
            threshold.

    Returns:
        Plots of the ROC curve, the precision-recall curve, the reliability and the histogram
        of the probabilities; without the first two if all test images have the same label.
    """
    test, test_metrics = curves[TEST], metrics.get(TEST) or {}
    plots = [_reliability_plot(test, test_metrics), _histogram_plot(test, test_metrics)]
    if len(test.roc) > 1:
        plots.insert(0, _roc_plot(curves, test_metrics))
    if len(test.precision_recall) > 1:
        plots.insert(len(plots) - 2, _precision_recall_plot(curves, test_metrics))
    return plots


def _roc_plot(curves: Mapping[str, Curves], metrics: Mapping[str, Any]) -> Plot:
    rates = _rates(metrics)

    def draw(palette: Palette) -> Figure:
        figure, axes = new_figure(palette)
        # The upper left corner, where good models differ, enlarged.
        corner = axes.inset_axes((0.56, 0.13, 0.4, 0.34), xlim=(-0.004, 0.1), ylim=(0.9, 1.004))
        style_axes(corner, palette)
        axes.plot([0, 1], [0, 1], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        for target in (axes, corner):
            for part, colour, width in _parts(curves, palette):
                x = [point.false_positive_rate for point in curves[part].roc]
                y = [point.true_positive_rate for point in curves[part].roc]
                target.plot(x, y, color=colour, linewidth=width, label=part)
            if rates:
                label = f"threshold {rates['threshold']:g}"
                mark_point(target, rates["fpr"], rates["recall"], palette, label)
        corner.set_xticks([0, 0.05, 0.1], ["0", "0.05", "0.1"])
        corner.set_yticks([0.9, 0.95, 1], ["0.9", "0.95", "1"])
        set_unit_axes(axes, palette, "false positive rate", "true positive rate")
        add_legend(axes, palette)
        return figure

    at_threshold = (
        f" At a threshold of {rates['threshold']:g} the true positive rate is "
        f"{rates['recall']:.4f} and the false positive rate {rates['fpr']:.4f}."
        if rates
        else ""
    )
    return Plot(
        "roc",
        "ROC curve",
        f"True positive rate over false positive rate; the area under the curve of the test set "
        f"is {number_text(metrics.get('roc_auc'))}. The corner up to a false positive rate of 0.1 "
        f"is enlarged.{at_threshold}",
        draw,
    )


def _precision_recall_plot(curves: Mapping[str, Curves], metrics: Mapping[str, Any]) -> Plot:
    rates = _rates(metrics)

    def draw(palette: Palette) -> Figure:
        from matplotlib.ticker import MaxNLocator

        figure, axes = new_figure(palette)
        lowest = 1.0
        for part, colour, width in _parts(curves, palette):
            points = curves[part].precision_recall
            lowest = min([lowest, *(point.precision for point in points)])
            axes.plot(
                [point.recall for point in points],
                [point.precision for point in points],
                color=colour,
                linewidth=width,
                label=part,
            )
        if rates:
            mark_point(
                axes,
                rates["recall"],
                rates["precision"],
                palette,
                f"threshold {rates['threshold']:g}",
            )
            axes.axhline(
                rates["prevalence"], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1
            )
        set_unit_axes(axes, palette, "recall", "precision")
        # The precision of guessing is the lowest one, so the axis starts just below it.
        bottom = math.floor(10 * min(lowest, rates["prevalence"] if rates else 1) - 0.5) / 10
        bottom = max(0.0, bottom)
        axes.set(ylim=(bottom - 0.02 * (1 - bottom), 1 + 0.03 * (1 - bottom)))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.yaxis.set_major_formatter("{x:g}")
        add_legend(axes, palette)
        return figure

    chance = (
        f" The dashed line is the precision of guessing, {rates['prevalence']:.4f}."
        if rates
        else ""
    )
    return Plot(
        "precision-recall",
        "Precision-recall curve",
        f"Precision over recall; the area under the curve of the test set is "
        f"{number_text(metrics.get('pr_auc'))}.{chance}",
        draw,
    )


def _reliability_plot(test: Curves, metrics: Mapping[str, Any]) -> Plot:
    bins = [bin_ for bin_ in test.reliability if bin_.count]

    def draw(palette: Palette) -> Figure:
        figure, axes = new_figure(palette, top=0.97, bottom=0.43)
        counts = new_axes(figure, palette, 0.17, 0.36)
        axes.plot([0, 1], [0, 1], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        axes.plot(
            [bin_.mean_probability for bin_ in bins],
            [bin_.fraction_positive for bin_ in bins],
            color=palette.glasses,
            marker="o",
            label="test",
            clip_on=False,
        )
        set_unit_axes(axes, palette, "", "fraction positive")
        axes.tick_params(labelbottom=False)
        log_bars(counts, test.reliability, [bin_.count for bin_ in test.reliability], palette.muted)
        counts.set_xlabel("probability of glasses", color=palette.muted)
        counts.set_ylabel("images", color=palette.muted)
        return figure

    error = metrics.get("expected_calibration_error")
    return Plot(
        "reliability",
        "Reliability",
        f"Fraction of test images with glasses over the predicted probability, in "
        f"{count_text(bins, 'bin')}, with the number of images per bin below. The diagonal is a "
        f"perfectly calibrated model."
        + (
            f" The expected calibration error is {number_text(error)}." if error is not None else ""
        ),
        draw,
    )


def _histogram_plot(test: Curves, metrics: Mapping[str, Any]) -> Plot:
    bins = test.histogram
    threshold = metrics.get("threshold")

    def draw(palette: Palette) -> Figure:
        figure, above = new_figure(palette, top=0.92, bottom=0.6)
        below = new_axes(figure, palette, 0.17, 0.49)
        highest = max((max(bin_.positives, bin_.negatives) for bin_ in bins), default=1)
        log_bars(above, bins, [bin_.positives for bin_ in bins], palette.glasses, highest)
        log_bars(below, bins, [bin_.negatives for bin_ in bins], palette.none, highest)
        above.tick_params(labelbottom=False)
        for axes, title, colour in (
            (above, "with glasses", palette.glasses),
            (below, "without glasses", palette.none),
        ):
            axes.set_title(title, color=colour, loc="left", fontsize=TEXT_SIZE, pad=3)
            if threshold is not None:
                axes.axvline(threshold, color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        below.set_xlabel("probability of glasses", color=palette.muted)
        return figure

    positives = sum(bin_.positives for bin_ in bins)
    negatives = sum(bin_.negatives for bin_ in bins)
    return Plot(
        "probabilities",
        "Probabilities by label",
        f"Two histograms of the predicted probability of glasses for the test images, with counts "
        f"on a logarithmic scale: {positives:,} images with glasses above, {negatives:,} without "
        f"glasses below.",
        draw,
    )


def _parts(curves: Mapping[str, Curves], palette: Palette) -> list[tuple[str, str, float]]:
    """Return name, colour and line width of each part; the test set last, drawn on top."""
    ordered = sorted(curves, key=lambda part: part == TEST)
    other_colours = iter(palette.series[1:] * len(ordered))
    return [
        (part, palette.glasses, 2.2) if part == TEST else (part, next(other_colours), 1.2)
        for part in ordered
    ]


def _rates(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the rates at the threshold; empty if one of them is undefined."""
    if not all(name in metrics for name in ("tp", "fp", "tn", "fn", "threshold")):
        return {}
    tp, fp, tn, fn = (metrics[name] for name in ("tp", "fp", "tn", "fn"))
    if not (tp + fn and fp + tn and tp + fp):
        return {}
    return {
        "threshold": metrics["threshold"],
        "recall": tp / (tp + fn),
        "fpr": fp / (fp + tn),
        "precision": tp / (tp + fp),
        "prevalence": (tp + fn) / (tp + fp + tn + fn),
    }
