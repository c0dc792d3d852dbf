"""Report, faces: the most wrong and the most certain images."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from glasses_spark.reports.gallery import Face, Gallery, png
from glasses_spark.reports.plots.palette import LIGHT
from glasses_spark.reports.saliency import overlay

# Longest side of a picture in pixels: more would make the page too large, too.
_PICTURE_SIDE: Final = 192


def gallery_sections(gallery: Gallery | None) -> Iterator[dict[str, Any]]:
    mistakes = gallery.mistakes if gallery else ()
    uncertain = gallery.uncertain if gallery else ()
    absent = "This run has kept no pictures."
    yield {
        "anchor": "mistakes",
        "title": "Worst mistakes",
        "faces": [_face(face) for face in mistakes],
        "legend": _LEGEND if any(face.evidence is not None for face in mistakes) else "",
        "note": absent
        if gallery is None
        else "The test images on which the model was surest and wrong. Look at the label first: "
        "it may be the one that is wrong."
        if mistakes
        else "There are none: every test image was told rightly.",
    }
    yield {
        "anchor": "uncertain",
        "title": "Least certain",
        "faces": [_face(face) for face in uncertain],
        "legend": _LEGEND if any(face.evidence is not None for face in uncertain) else "",
        "note": absent
        if gallery is None
        else "The test images whose probability of glasses is nearest to one half, right or wrong.",
    }


_LEGEND: Final = (
    "The picture was blurred in one place after the other; the colour is dense where that changed "
    "the answer most, each picture by its own measure."
)


def _face(face: Face) -> dict[str, Any]:
    height, width = face.picture.shape
    label = "glasses" if face.label == 1 else "no glasses"
    said = "glasses" if face.predicted_label == 1 else "no glasses"
    colours = {"glasses": LIGHT.glasses, "none": LIGHT.none}
    return {
        "path": face.path,
        "name": face.path.rsplit("/", 1)[-1],
        "label": label,
        "glasses": face.label == 1,
        "said": f"Taken for {said}",
        "probability": f"{face.probability:.4f}",
        "percent": round(100 * face.probability, 2),
        "aspect": f"{width} / {height}",
        "alt": f"Face {face.id}: labelled {label}, probability of glasses {face.probability:.4f}",
        "picture": _data_uri(face.picture),
        "overlay": _data_uri(overlay(face.evidence, **colours))
        if face.evidence is not None
        else "",
        "overlay_alt": f"What the answer for face {face.id} rests on: {_strongest(face.evidence)}"
        if face.evidence is not None
        else "",
    }


def _strongest(evidence: npt.NDArray[np.float32]) -> str:
    """Say in words where a map is strongest."""
    height, width = evidence.shape
    y, x = np.unravel_index(int(np.abs(evidence).argmax()), evidence.shape)
    if not evidence[y, x]:
        return "no place in particular"
    down = ("upper", "middle", "lower")[min(2, int(3 * y / height))]
    across = ("left", "centre", "right")[min(2, int(3 * x / width))]
    way = "for" if evidence[y, x] > 0 else "against"
    return f"most on the {down} {across}, which spoke {way} glasses"


def _data_uri(picture: npt.NDArray[np.uint8]) -> str:
    scale = _PICTURE_SIDE / max(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
