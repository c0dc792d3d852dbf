"""Alignment: the square around a face that has the margins of the training pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.scorer.face_detector import Detector, Face

# Margins of the published set: StyleGAN faces, aligned as FFHQ is. The side of the picture is 4
# times the distance of the eyes, or 3.6 times that from the eyes to the mouth if this is more. Its
# centre is a tenth of the way from the eyes to the mouth.
SIDE_IN_EYE_DISTANCES: Final = 4.0
SIDE_IN_MOUTH_DISTANCES: Final = 3.6
CENTRE_BELOW_EYES: Final = 0.1

# A picture whose own square differs by no more than this from that of its face is scored as it is,
# so that training pictures keep their probability: as shares of the picture's side, and degrees.
_SIDE_TOLERANCE: Final = 0.3
_CENTRE_TOLERANCE: Final = 0.12
_ROLL_TOLERANCE: Final = 20.0

# Beyond this the eyes and the mouth may be found in the wrong places.
_MOST_ROLL: Final = 45.0

# Side of the pictures of the published set. A larger square is reduced to it first, so that the
# resize to the model's input reads the same share of the pixels as in training.
_LARGEST_SIDE: Final = 1024


@dataclass(frozen=True)
class Square:
    """A turned square of a picture, in pixels.

    Attributes:
        x: Column of the centre.
        y: Row of the centre.
        side: Length of a side.
        roll: Angle in degrees from the picture's rows to those of the square, clockwise.
    """

    x: float
    y: float
    side: float
    roll: float


def align(
    grey: NDArray[np.uint8], detect: Detector, *, height: int, width: int
) -> NDArray[np.uint8]:
    """Return the face of a picture, with the margins of the training pictures.

    Args:
        grey: uint8 of shape ``(rows, columns)``, 0 black to 255 white.
        detect: Finds faces.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 of shape ``(height, width)``; the complete picture, resized as ``decode`` does, if
        it has these margins already.

    Raises:
        DecodeError: There is no face, there are several, or the face is turned too far.
    """
    faces = detect(grey)
    if not faces:
        raise DecodeError("no face found")
    if len(faces) > 1:
        raise DecodeError(f"{len(faces)} faces found; crop the picture to one")
    square = square_around(faces[0])
    if abs(square.roll) > _MOST_ROLL:
        raise DecodeError(
            f"face turned by {round(square.roll)} degrees; turn the picture until it is upright"
        )
    aligned = grey if is_aligned(square, grey.shape) else cut(grey, square)
    resized: NDArray[np.uint8] = cv2.resize(aligned, (width, height))
    return resized


def square_around(face: Face) -> Square:
    """Return the square around a face that has the margins of the training pictures."""
    first, second, mouth = (np.array(point) for point in (*face.eyes, face.mouth))
    eyes = (first + second) / 2
    across, down = second - first, mouth - eyes
    # The mean of the two directions: a face that looks aside has its mouth there too.
    direction = across + np.array([down[1], -down[0]])
    x, y = eyes + CENTRE_BELOW_EYES * down
    return Square(
        x=float(x),
        y=float(y),
        side=max(
            SIDE_IN_EYE_DISTANCES * float(np.hypot(*across)),
            SIDE_IN_MOUTH_DISTANCES * float(np.hypot(*down)),
            1.0,
        ),
        roll=math.degrees(math.atan2(direction[1], direction[0])),
    )


def is_aligned(square: Square, shape: tuple[int, ...]) -> bool:
    """Return whether a picture of this shape has the margins of its face's square already."""
    rows, columns = shape
    side = max(rows, columns)
    if min(rows, columns) < side * (1 - _SIDE_TOLERANCE):
        return False
    distance = max(abs(square.x - columns / 2), abs(square.y - rows / 2))
    return (
        abs(square.side / side - 1) <= _SIDE_TOLERANCE
        and distance <= _CENTRE_TOLERANCE * side
        and abs(square.roll) <= _ROLL_TOLERANCE
    )


def cut(grey: NDArray[np.uint8], square: Square) -> NDArray[np.uint8]:
    """Return the pixels of a square, upright; beyond the picture its outermost pixels repeat."""
    side = max(1, round(square.side))
    scale = min(1.0, _LARGEST_SIDE / side)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        side = _LARGEST_SIDE
    x, y = square.x * scale, square.y * scale
    cos, sin = (f(math.radians(square.roll)) for f in (math.cos, math.sin))
    middle = (side - 1) / 2
    # From pixels of the result to those of the picture, whose centres are at whole numbers.
    matrix = np.array(
        [
            [cos, -sin, x - 0.5 - middle * (cos - sin)],
            [sin, cos, y - 0.5 - middle * (sin + cos)],
        ]
    )
    upright: NDArray[np.uint8] = cv2.warpAffine(
        grey,
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return upright
