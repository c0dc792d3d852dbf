"""Losses: log loss and Brier score, as means over all images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glasses_spark.evaluation.scores import EPSILON, Numbers, Scores


@dataclass(frozen=True)
class Loss:
    """Mean and variance of a loss over images.

    Attributes:
        mean: Mean over the images.
        variance: Mean squared difference of an image's loss from the mean.
    """

    mean: float
    variance: float


def log_loss(scores: Scores) -> Loss:
    """Return the binary cross-entropy, nats per image, with probabilities clipped as in Keras.

    The mean of ``-(y log p + (1 - y) log(1 - p))``: Bishop, Pattern Recognition and Machine
    Learning (2006), equation 4.90.
    """
    clipped = np.clip(scores.probability, EPSILON, 1 - EPSILON)
    return _loss(scores, -np.log(clipped), -np.log1p(-clipped))


def stable_log_loss(scores: Scores) -> Loss:
    """Return the binary cross-entropy, nats per image, from logits.

    The mean of ``max(z, 0) - z y + log(1 + exp(-|z|))``, the form used by
    ``tf.nn.sigmoid_cross_entropy_with_logits``, which neither overflows nor takes the
    logarithm of 0.
    """
    z = scores.logit
    of_negatives = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return _loss(scores, of_negatives - z, of_negatives)


def brier_score(scores: Scores) -> float:
    """Return the mean of ``(p - y)^2``, in [0, 1]: Brier, Monthly Weather Review 78 (1950)."""
    p = scores.probability
    return scores.total((1 - p) ** 2, p**2) / scores.rows


def _loss(scores: Scores, of_positives: Numbers, of_negatives: Numbers) -> Loss:
    mean = scores.total(of_positives, of_negatives) / scores.rows
    squares = scores.total((of_positives - mean) ** 2, (of_negatives - mean) ** 2)
    return Loss(mean, squares / scores.rows)
