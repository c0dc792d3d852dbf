"""Curve plots: ROC, precision and recall, reliability, histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glasses_spark.reports.plots.axes import (
    TEXT_SIZE,
    add_legend,
    log_bars,
    mark_point,
    new_axes,
    new_figure,
    plain,
    set_unit_axes,
)
from glasses_spark.reports.plots.palette import Palette
from glasses_spark.reports.plots.plot import Plot
from glasses_spark.reports.plots.words import count_text, shown

# matplotlib takes half a second to import, so it is imported where something is drawn.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from glasses_spark.evaluation.curves import Curves


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


def _roc_plot(curves: Mapping[str, Curves], found: Mapping[str, Any]) -> Plot:
    rates = _rates(found)

    def draw(palette: Palette) -> Figure:
        figure, axes = new_figure(palette)
        # The corner in which good models differ, once more and larger.
        corner = axes.inset_axes((0.56, 0.13, 0.4, 0.34), xlim=(-0.004, 0.1), ylim=(0.9, 1.004))
        plain(corner, palette)
        axes.plot([0, 1], [0, 1], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        for place in (axes, corner):
            for part, colour, width in _parts(curves, palette):
                x = [point.false_positive_rate for point in curves[part].roc]
                y = [point.true_positive_rate for point in curves[part].roc]
                place.plot(x, y, color=colour, linewidth=width, label=part)
            if rates:
                mark_point(
                    place, rates["fpr"], rates["recall"], palette, f"at {rates['threshold']:g}"
                )
        corner.set_xticks([0, 0.05, 0.1], ["0", "0.05", "0.1"])
        corner.set_yticks([0.9, 0.95, 1], ["0.9", "0.95", "1"])
        set_unit_axes(axes, palette, "false positive rate", "true positive rate")
        add_legend(axes, palette)
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
        f"{shown(found.get('roc_auc'))} on the test images. The corner up to a false positive "
        f"rate of 0.1 is shown larger.{at}",
        draw,
    )


def _precision_recall_plot(curves: Mapping[str, Curves], found: Mapping[str, Any]) -> Plot:
    rates = _rates(found)

    def draw(palette: Palette) -> Figure:
        from matplotlib.ticker import MaxNLocator

        figure, axes = new_figure(palette)
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
            mark_point(
                axes,
                rates["recall"],
                rates["precision"],
                palette,
                f"at {rates['threshold']:g}",
            )
            axes.axhline(
                rates["prevalence"], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1
            )
        set_unit_axes(axes, palette, "recall", "precision")
        # Nothing is below the precision of guessing, so half of the paper would stay empty.
        bottom = math.floor(10 * min(lowest, rates["prevalence"] if rates else 1) - 0.5) / 10
        bottom = max(0.0, bottom)
        axes.set(ylim=(bottom - 0.02 * (1 - bottom), 1 + 0.03 * (1 - bottom)))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.yaxis.set_major_formatter("{x:g}")
        add_legend(axes, palette)
        return figure

    chance = (
        f" Guessing would give a precision of {rates['prevalence']:.4f}, the dashed line."
        if rates
        else ""
    )
    return Plot(
        "precision-recall",
        "Precision over recall",
        f"Precision over recall; the area under the curve is {shown(found.get('pr_auc'))} on the "
        f"test images.{chance}",
        draw,
    )


def _reliability_plot(test: Curves, found: Mapping[str, Any]) -> Plot:
    bins = [one for one in test.reliability if one.count]

    def draw(palette: Palette) -> Figure:
        figure, axes = new_figure(palette, top=0.97, bottom=0.43)
        counts = new_axes(figure, palette, 0.17, 0.36)
        axes.plot([0, 1], [0, 1], color=palette.muted, linestyle=(0, (2, 3)), linewidth=1)
        axes.plot(
            [one.mean_probability for one in bins],
            [one.fraction_positive for one in bins],
            color=palette.glasses,
            marker="o",
            label="test",
            clip_on=False,
        )
        set_unit_axes(axes, palette, "", "part with glasses")
        axes.tick_params(labelbottom=False)
        log_bars(counts, test.reliability, [one.count for one in test.reliability], palette.muted)
        counts.set_xlabel("probability of glasses", color=palette.muted)
        counts.set_ylabel("images", color=palette.muted)
        return figure

    error = found.get("expected_calibration_error")
    return Plot(
        "reliability",
        "Reliability",
        f"Part of the test images that have glasses over the probability that the model gave, in "
        f"{count_text(bins, 'bin')}, with the number of images in each below; the diagonal is a "
        f"model that can be taken at its word."
        + (f" The expected calibration error is {shown(error)}." if error is not None else ""),
        draw,
    )


def _histogram_plot(test: Curves, found: Mapping[str, Any]) -> Plot:
    bins = test.histogram
    threshold = found.get("threshold")

    def draw(palette: Palette) -> Figure:
        figure, above = new_figure(palette, top=0.92, bottom=0.6)
        below = new_axes(figure, palette, 0.17, 0.49)
        most = max((max(one.positives, one.negatives) for one in bins), default=1)
        log_bars(above, bins, [one.positives for one in bins], palette.glasses, most)
        log_bars(below, bins, [one.negatives for one in bins], palette.none, most)
        above.tick_params(labelbottom=False)
        for axes, words, colour in (
            (above, "with glasses", palette.glasses),
            (below, "without glasses", palette.none),
        ):
            axes.set_title(words, color=colour, loc="left", fontsize=TEXT_SIZE, pad=3)
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


def _parts(curves: Mapping[str, Curves], palette: Palette) -> list[tuple[str, str, float]]:
    """Each part's name, colour and width of line; what counts, the test, lies on top."""
    ranked = sorted(curves, key=lambda part: part == "test")
    others = iter(palette.series[1:] * len(ranked))
    return [
        (part, palette.glasses, 2.2) if part == "test" else (part, next(others), 1.2)
        for part in ranked
    ]


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
