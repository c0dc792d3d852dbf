"""Evidence: what the network saw of a photograph, and where it found its evidence, as pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.reports.saliency import occlusion_maps
from glasses_spark.scorer.scorer import Scorer

# Blue, green and red of evidence for and against, as in the report.
_FOR: Final = (0, 102, 230)
_AGAINST: Final = (204, 102, 0)

# Largest opacity, of 255: the face stays visible.
_OPACITY: Final = 200

# As Keras clips probabilities; they have no logit at 0 and 1.
_EPSILON: Final = 1e-7


@dataclass(frozen=True)
class Evidence:
    """Pictures of one photograph.

    Attributes:
        seen: PNG of the pixels that the network got, in Base64.
        evidence: PNG to lay over it, in Base64: evidence for glasses in orange, against them in
            blue.
        strongest: Largest change of the logit.
    """

    seen: str
    evidence: str
    strongest: float


def evidence_of(scorer: Scorer, pixels: NDArray[np.uint8]) -> Evidence:
    """Compute the evidence of one image; takes about a hundred rows' time.

    Args:
        scorer: The model.
        pixels: ``(height, width)``, uint8 grey.
    """

    def logits(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = scorer.probabilities(pictures).astype(np.float64)
        clipped = np.clip(found, _EPSILON, 1 - _EPSILON)
        result: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
        return result

    (drops,) = occlusion_maps(logits, pixels[np.newaxis])
    strongest = float(np.abs(drops).max())
    overlay = np.empty((*pixels.shape, 4), np.uint8)
    overlay[..., :3] = np.where(drops[..., np.newaxis] > 0, _FOR, _AGAINST)
    overlay[..., 3] = np.abs(drops) / max(strongest, 1e-6) * _OPACITY
    return Evidence(_png(pixels), _png(overlay), strongest)


def _png(picture: NDArray[np.uint8]) -> str:
    _, content = cv2.imencode(".png", picture)
    return base64.b64encode(content.tobytes()).decode()
