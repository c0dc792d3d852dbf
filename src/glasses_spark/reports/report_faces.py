"""Face sections of the report: the most confident errors and the least certain predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from glasses_spark.reports.gallery import Face, Gallery
from glasses_spark.reports.pictures import data_uri
from glasses_spark.reports.plots.palette import LIGHT
from glasses_spark.reports.saliency import overlay

# Longest side of a picture in pixels, to limit the size of the page.
_PICTURE_SIDE: Final = 192

_LEGEND: Final = (
    "Occlusion map: one region of the image after another is blurred; the colour is dense where "
    "this changes the logit most, relative to the other regions of the same image."
)
_NO_PICTURES: Final = "This run has no pictures."


def gallery_sections(gallery: Gallery | None) -> Iterator[dict[str, Any]]:
    """Yield the sections of both kinds of faces, with notes instead of missing faces."""
    mistakes, uncertain = (gallery.mistakes, gallery.uncertain) if gallery else ((), ())
    if gallery is None:
        mistakes_note = uncertain_note = _NO_PICTURES
    else:
        mistakes_note = (
            "The misclassified test images with the most confident predictions. Check the label "
            "first: it may be wrong."
            if mistakes
            else "Every test image is classified correctly."
        )
        uncertain_note = (
            "The test images whose probability of glasses is closest to 0.5, whether classified "
            "correctly or not."
        )
    yield _section("mistakes", mistakes, mistakes_note)
    yield _section("uncertain", uncertain, uncertain_note)


def _section(anchor: str, faces: Sequence[Face], note: str) -> dict[str, Any]:
    return {
        "anchor": anchor,
        "faces": [_face(face) for face in faces],
        "legend": _LEGEND if any(face.evidence is not None for face in faces) else "",
        "note": note,
    }


def _face(face: Face) -> dict[str, Any]:
    height, width = face.picture.shape
    label = _label_text(face.label)
    values = {
        "path": face.path,
        "name": face.path.rsplit("/", 1)[-1],
        "label": label,
        "glasses": face.label == 1,
        "predicted": f"Predicted {_label_text(face.predicted_label)}",
        "probability": f"{face.probability:.4f}",
        "percent": round(100 * face.probability, 2),
        "aspect": f"{width} / {height}",
        "alt": f"Image {face.id}: label {label}, probability of glasses {face.probability:.4f}",
        "picture": _small_data_uri(face.picture),
        "overlay": "",
        "overlay_alt": "",
    }
    if face.evidence is not None:
        colours = {"glasses": LIGHT.glasses, "none": LIGHT.none}
        values["overlay"] = _small_data_uri(overlay(face.evidence, **colours))
        values["overlay_alt"] = f"Occlusion map of image {face.id}: {_strongest(face.evidence)}"
    return values


def _label_text(label: float) -> str:
    return "glasses" if label == 1 else "no glasses"


def _strongest(evidence: npt.NDArray[np.float32]) -> str:
    """Describe the strongest region of a map."""
    height, width = evidence.shape
    y, x = np.unravel_index(int(np.abs(evidence).argmax()), evidence.shape)
    if not evidence[y, x]:
        return "no region changes the logit"
    vertical = ("upper", "middle", "lower")[min(2, int(3 * y / height))]
    horizontal = ("left", "centre", "right")[min(2, int(3 * x / width))]
    direction = "for" if evidence[y, x] > 0 else "against"
    return f"strongest in the {vertical} {horizontal}, evidence {direction} glasses"


def _small_data_uri(picture: npt.NDArray[np.uint8]) -> str:
    scale = _PICTURE_SIDE / max(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return data_uri(picture)
