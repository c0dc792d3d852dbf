"""Tests for glasses_spark.reports.plots.curves."""

from __future__ import annotations

from glasses_spark.evaluation.curves import Curves
from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.plot import inline_svg
from tests.reports import pages


def test_curves_mark_the_threshold_of_the_test_set() -> None:
    curves = {"train": pages.curves(), "test": pages.curves()}
    roc, precision_recall, reliability, histogram = curve_plots(curves, pages.METRICS)

    assert roc.alt.startswith(
        "True positive rate over false positive rate; the area under the curve of the test set is "
        "0.9997."
    )
    assert "At a threshold of 0.5 the true positive rate is 0.9929" in roc.alt
    assert ">threshold 0.5</text>" in inline_svg(roc)
    assert ">train</text>" in inline_svg(roc)
    assert "the precision of guessing, 0.5640" in precision_recall.alt
    assert "in 2 bins" in reliability.alt
    assert "282 images with glasses above, 211 without glasses below" in histogram.alt


def test_curves_without_confusion_counts_have_no_marked_threshold() -> None:
    roc = curve_plots({"test": pages.curves()}, {"test": {"roc_auc": 0.9}})[0]
    assert "threshold" not in roc.alt
    assert "threshold" not in inline_svg(roc)


def test_images_of_one_label_have_no_roc_and_precision_recall_curve() -> None:
    both_labels = pages.curves()
    one_label = Curves((), (), both_labels.reliability, both_labels.histogram)
    metrics = {"test": {"rows": 2, "roc_auc": None, "tp": 2, "fp": 0, "tn": 0, "fn": 0}}
    plots = curve_plots({"test": one_label}, metrics)
    assert [plot.name for plot in plots] == ["reliability", "probabilities"]
    assert all(inline_svg(plot) for plot in plots)


def test_a_set_of_one_label_beside_the_test_set_has_empty_curves() -> None:
    both_labels = pages.curves()
    one_label = Curves((), (), both_labels.reliability, both_labels.histogram)
    plots = curve_plots({"validation": one_label, "test": both_labels}, pages.METRICS)
    assert [plot.name for plot in plots][:2] == ["roc", "precision-recall"]
    assert all(inline_svg(plot) for plot in plots)
