"""Tests for glasses_spark.evaluation.curves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from glasses_spark.evaluation.curves import (
    MAX_POINTS,
    HistogramBin,
    PrecisionRecallPoint,
    ReliabilityBin,
    RocPoint,
    make_curves,
)
from glasses_spark.evaluation.scores import scores_of

JUST_ABOVE_1 = 1.0000000000000002


def drawn(rows: int, *, decimals: int = 15) -> tuple[Any, Any]:
    generator = np.random.default_rng(rows)
    y = generator.integers(0, 2, rows)
    return y, np.clip(generator.normal(0.35 + 0.3 * y, 0.25), 0, 1).round(decimals)


def test_curves_match_a_hand_calculation() -> None:
    curves = make_curves(scores_of([1, 1, 0, 0], [0.8, 0.4, 0.4, 1.0]))

    assert curves.roc == (
        RocPoint(0.0, 0.0, JUST_ABOVE_1),
        RocPoint(0.5, 0.0, 1.0),
        RocPoint(0.5, 0.5, 0.8),
        RocPoint(1.0, 1.0, 0.4),
    )
    assert curves.precision_recall == (
        PrecisionRecallPoint(0.0, 1.0, JUST_ABOVE_1),
        PrecisionRecallPoint(0.0, 0.0, 1.0),
        PrecisionRecallPoint(0.5, 0.5, 0.8),
        PrecisionRecallPoint(1.0, 0.5, 0.4),
    )
    assert curves.reliability == (
        ReliabilityBin(6 / 15, 7 / 15, 2, 0.4, 0.5),
        ReliabilityBin(12 / 15, 13 / 15, 1, 0.8, 1.0),
        ReliabilityBin(14 / 15, 1.0, 1, 1.0, 0.0),
    )
    assert [bin_ for bin_ in curves.histogram if bin_.negatives or bin_.positives] == [
        HistogramBin(0.4, 0.45, 1, 1),
        HistogramBin(0.8, 0.85, 0, 1),
        HistogramBin(0.95, 1.0, 1, 0),
    ]
    assert len(curves.histogram) == 20


@pytest.mark.parametrize(("rows", "decimals"), [(50, 15), (400, 2), (400, 15)])
def test_curves_with_few_points_match_scikit_learn(rows: int, decimals: int) -> None:
    y, p = drawn(rows, decimals=decimals)
    curves = make_curves(scores_of(y, p))

    false, true, threshold = roc_curve(y, p, drop_intermediate=False)
    expected = set(zip(false, true, [JUST_ABOVE_1, *threshold[1:]], strict=True))
    roc = [
        (point.false_positive_rate, point.true_positive_rate, point.threshold)
        for point in curves.roc
    ]
    assert set(roc) <= expected
    # The dropped points lie on the line between their neighbours.
    assert auc(*zip(*[point[:2] for point in roc], strict=True)) == pytest.approx(
        roc_auc_score(y, p), abs=1e-12
    )

    precision, recall, thresholds = precision_recall_curve(y, p)
    points = {(point.recall, point.precision, point.threshold) for point in curves.precision_recall}
    assert points <= set(zip(recall, precision, [*thresholds, JUST_ABOVE_1], strict=True))
    assert curves.precision_recall[-1].recall == 1.0


def test_reliability_matches_scikit_learn() -> None:
    y, p = drawn(2000)
    fraction, mean = calibration_curve(y, p, n_bins=15)

    bins = make_curves(scores_of(y, p)).reliability

    assert [bin_.fraction_positive for bin_ in bins] == pytest.approx(fraction.tolist())
    assert [bin_.mean_probability for bin_ in bins] == pytest.approx(mean.tolist())
    assert sum(bin_.count for bin_ in bins) == 2000


def test_curves_of_many_images_are_reduced_to_few_points_with_the_same_area() -> None:
    y, p = drawn(100_000)
    curves = make_curves(scores_of(y, p))

    x, z = np.array(
        [(point.false_positive_rate, point.true_positive_rate) for point in curves.roc]
    ).T
    assert MAX_POINTS / 2 < len(x) <= MAX_POINTS
    assert ((np.diff(x) >= 0) & (np.diff(z) >= 0)).all()
    assert (x[0], z[0], x[-1], z[-1]) == (0, 0, 1, 1)
    assert auc(x, z) == pytest.approx(roc_auc_score(y, p), abs=1e-4)
    # The best trade-off lies on the hull, which is kept.
    false, true, _ = roc_curve(y, p)
    assert (z - x).max() == (true - false).max()

    assert MAX_POINTS / 4 < len(curves.precision_recall) <= MAX_POINTS
    recall = [point.recall for point in curves.precision_recall]
    assert recall == sorted(recall)
    assert (recall[0], recall[-1]) == (0, 1)


@pytest.mark.parametrize("label", [0, 1])
def test_images_of_one_label_have_bins_and_no_curves(label: int) -> None:
    curves = make_curves(scores_of([label, label], [0.2, 0.2]))

    assert (curves.roc, curves.precision_recall) == ((), ())
    assert curves.reliability == (ReliabilityBin(3 / 15, 4 / 15, 2, 0.2, float(label)),)
    assert sum(bin_.negatives + bin_.positives for bin_ in curves.histogram) == 2


def test_curves_are_valid_json_with_named_values() -> None:
    curves = make_curves(scores_of([1, 0], [1.0, 0.0])).as_dict()

    assert json.loads(json.dumps(curves, allow_nan=False)) == curves
    assert list(curves) == ["roc", "precision_recall", "reliability", "histogram"]
    assert list(curves["roc"][0]) == ["false_positive_rate", "true_positive_rate", "threshold"]
