"""Metrics: how good predictions are, computed in Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import LABEL, PREDICTED_LABEL, PREDICTION, RAW_PREDICTION
from glasses_spark.errors import ScoringError

# Keras' own epsilon (`keras.config.epsilon()`): its binary cross-entropy clips
# probabilities to [1e-7, 1 - 1e-7], so that ours can be compared with its `loss`.
EPSILON: Final = 1e-7

_PROBABILITY: Final = "probability"
_LOGIT: Final = "logit"


@dataclass(frozen=True)
class Metrics:
    """How good the predictions of one set of images are.

    Attributes:
        rows: Images judged, at least 1.
        threshold: Probability of glasses from which the predicted label is 1.
        accuracy: Fraction in [0, 1] of images whose predicted label is right.
        log_loss: Mean binary cross-entropy, nats per image, of probabilities
            clipped to [1e-7, 1 - 1e-7]; so never above 16.2.
        stable_log_loss: The same from the logits, without clipping where the
            predictions carry logits; finite in any case.
        roc_auc: Area under the ROC curve in [0, 1], ties counted half; None
            where all images have one label, as it is undefined there.
        tp: Images with glasses that were found.
        fp: Images without glasses that were taken for some with.
        tn: Images without glasses that were found.
        fn: Images with glasses that were missed.
    """

    rows: int
    threshold: float
    accuracy: float
    log_loss: float
    stable_log_loss: float
    roc_auc: float | None
    tp: int
    fp: int
    tn: int
    fn: int

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics by name, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return metrics_table({"": self})


def evaluate(predictions: DataFrame, *, threshold: float = 0.5) -> Metrics:
    """Judge predictions against labels, in two Spark jobs and nothing collected but the result.

    - Accuracy: the fraction of rows where ``prediction[0] >= threshold`` agrees with the label.
    - Log loss: the mean of ``-(y log p + (1 - y) log(1 - p))``, Bishop, Pattern Recognition
      and Machine Learning (2006), equation 4.90.
    - Stable log loss: the mean of ``max(z, 0) - z y + log(1 + exp(-|z|))``, the form of
      ``tf.nn.sigmoid_cross_entropy_with_logits``, which neither overflows nor takes the
      logarithm of 0.
    - ROC AUC: the probability that an image with glasses is ranked above one without, ties
      counted half (Hanley and McNeil, Radiology 143, 1982), over every distinct probability.

    Args:
        predictions: One row an image: ``label`` (double, 0.0 or 1.0), ``prediction``
            (array<double>, first the probability of glasses in [0, 1]) and, where present,
            ``rawPrediction`` (double, its logit, finite).
        threshold: Probability of glasses from which the predicted label is 1.

    Returns:
        The metrics.

    Raises:
        ScoringError: There is no row, a column is missing, or a row has no usable label,
            probability or logit; none is ever left out in silence.
    """
    _require_columns(predictions)
    # Two numbers a row, kept so that a model behind `predictions` scores once.
    scored = predictions.select(
        F.col(LABEL).cast("double").alias(LABEL),
        _probability().alias(_PROBABILITY),
        _logit(predictions).alias(_LOGIT),
    ).persist()
    try:
        sums = scored.agg(*_sums(threshold)).first()
        assert sums is not None  # an aggregate without groups has one row
        _require_usable(sums.asDict())
        rows, positives = sums["rows"], sums["tp"] + sums["fn"]
        return Metrics(
            rows=rows,
            threshold=threshold,
            accuracy=(sums["tp"] + sums["tn"]) / rows,
            log_loss=sums["log_loss"],
            stable_log_loss=sums["stable_log_loss"],
            roc_auc=_roc_auc(scored) if 0 < positives < rows else None,
            tp=sums["tp"],
            fp=sums["fp"],
            tn=sums["tn"],
            fn=sums["fn"],
        )
    finally:
        scored.unpersist()


def add_predicted_label(predictions: DataFrame, *, threshold: float = 0.5) -> DataFrame:
    """Add ``predicted_label`` (double): 1.0 where ``prediction[0] >= threshold``, else 0.0."""
    label = (_probability() >= threshold).cast("double")
    return predictions.withColumn(PREDICTED_LABEL, label)


def metrics_table(parts: Mapping[str, Metrics]) -> str:
    """Lay out metrics as a table of text, one column a part.

    Args:
        parts: Metrics by the name of their part, such as ``train`` and ``test``.

    Returns:
        Lines without a newline at the end.
    """
    names = ["rows", "accuracy", "log_loss", "stable_log_loss", "roc_auc", "tp", "fp", "tn", "fn"]
    head = [f"{'':<16}" + "".join(f"{part:>12}" for part in parts)] if any(parts) else []
    lines = [
        f"{name.replace('_', ' '):<16}"
        + "".join(f"{_shown(getattr(metrics, name)):>12}" for metrics in parts.values())
        for name in names
    ]
    return "\n".join(head + lines)


def _require_columns(predictions: DataFrame) -> None:
    missing = [name for name in (LABEL, PREDICTION) if name not in predictions.columns]
    if missing:
        raise ScoringError(
            f"cannot evaluate: expected the columns {LABEL} and {PREDICTION}, "
            f"found no {' and no '.join(missing)} among {', '.join(predictions.columns)}"
        )


def _probability() -> Column:
    # `get` gives null for an empty array, where `[0]` fails the job in ANSI mode.
    return F.get(F.col(PREDICTION), 0).cast("double")


def _logit(predictions: DataFrame) -> Column:
    if RAW_PREDICTION in predictions.columns:
        return F.col(RAW_PREDICTION).cast("double")
    clipped = _clipped(_probability())
    return F.log(clipped) - F.log1p(-clipped)


def _clipped(probability: Column) -> Column:
    return F.least(F.greatest(probability, F.lit(EPSILON)), F.lit(1 - EPSILON))


def _sums(threshold: float) -> list[Column]:
    y, p, z = F.col(LABEL), F.col(_PROBABILITY), F.col(_LOGIT)
    yes, no = y == 1.0, y == 0.0
    found = p >= threshold
    clipped = _clipped(p)
    log_loss = -F.when(yes, F.log(clipped)).otherwise(F.log1p(-clipped))
    stable = F.greatest(z, F.lit(0.0)) - z * y + F.log1p(F.exp(-F.abs(z)))
    # Spark orders NaN above every number, so `between` refuses it; null is refused by coalesce.
    usable = {
        "labels": yes | no,
        "probabilities": p.between(0.0, 1.0),
        "logits": z.between(-1.7976931348623157e308, 1.7976931348623157e308),
    }
    return [
        F.count("*").alias("rows"),
        *(F.count_if(~F.coalesce(good, F.lit(False))).alias(of) for of, good in usable.items()),
        F.avg(log_loss).alias("log_loss"),
        F.avg(stable).alias("stable_log_loss"),
        F.count_if(yes & found).alias("tp"),
        F.count_if(no & found).alias("fp"),
        F.count_if(no & ~found).alias("tn"),
        F.count_if(yes & ~found).alias("fn"),
    ]


def _require_usable(sums: Mapping[str, Any]) -> None:
    rows = sums["rows"]
    if rows == 0:
        raise ScoringError("cannot evaluate: expected at least one prediction, found none")
    wanted = {
        "labels": "0.0 or 1.0",
        "probabilities": "between 0 and 1",
        "logits": "finite",
    }
    for of, expectation in wanted.items():
        if sums[of]:
            raise ScoringError(
                f"cannot evaluate: expected all {of} {expectation}, "
                f"found {sums[of]} of {rows} null, NaN or outside"
            )


def _roc_auc(scored: DataFrame) -> float:
    # numBins=0: every distinct probability is a point of the curve; the default
    # of 1,000 bins is an approximation.
    evaluator = BinaryClassificationEvaluator(
        rawPredictionCol=_PROBABILITY, labelCol=LABEL, metricName="areaUnderROC", numBins=0
    )
    return float(evaluator.evaluate(scored))


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
