"""Canvas in face units, and the curves and colours of drawings.

Points are float64 arrays of shape (n, 2) in face units; colours are RGB, 0 to 255. OpenCV's
BGR is used only where a file is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Colour = tuple[int, int, int]


class Canvas:
    """An image and the affine map from face units to its pixels.

    Attributes:
        image: uint8, ``(size, size, 3)`` or ``(size, size)``.
        matrix: Affine map, ``(2, 3)``.
        unit: Pixels per face unit.
    """

    def __init__(self, image: Image, matrix: Points) -> None:
        self.image = image
        self.matrix = matrix
        self.unit = float(np.hypot(matrix[0, 0], matrix[1, 0]))

    @classmethod
    def posed(cls, size: int, rng: np.random.Generator) -> Canvas:
        """Return an empty canvas of size x size px with random position, scale and tilt."""
        unit = size * rng.uniform(0.32, 0.37)
        turn = math.radians(float(np.clip(rng.normal(0, 4), -10, 10)))
        x, y = size * rng.uniform([0.47, 0.45], [0.53, 0.51])
        cos, sin = unit * math.cos(turn), unit * math.sin(turn)
        matrix = np.array([[cos, -sin, x], [sin, cos, y]])
        return cls(np.zeros((size, size, 3), np.uint8), matrix)

    def layer(self, shrink: int, value: int) -> Canvas:
        """Return a grey canvas of the same scene, smaller by ``shrink``, filled with a value."""
        side = self.image.shape[0] // shrink
        return Canvas(np.full((side, side), value, np.uint8), self.matrix / shrink)

    def fill(self, points: Points, colour: Colour | int) -> None:
        """Fill a closed shape."""
        cv2.fillPoly(self.image, [self._pixels(points)], _channels(colour), cv2.LINE_AA, 4)

    def stroke(
        self, points: Points, colour: Colour | int, width: float, *, closed: bool = False
    ) -> None:
        """Draw a line; the width is in face units, and at least one pixel."""
        thickness = max(1, round(width * self.unit))
        pixels = self._pixels(points)
        cv2.polylines(self.image, [pixels], closed, _channels(colour), thickness, cv2.LINE_AA, 4)

    def glaze(self, points: Points, colour: Colour, strength: float) -> None:
        """Fill a closed shape with a transparent colour; strength 0 is invisible, 1 opaque."""
        pixels = self._pixels(points)
        x, y, w, h = cv2.boundingRect(pixels // 16)
        side = self.image.shape[0]
        x0, y0, x1, y1 = max(0, x - 2), max(0, y - 2), min(side, x + w + 2), min(side, y + h + 2)
        if x0 >= x1 or y0 >= y1:
            return
        below = self.image[y0:y1, x0:x1]
        painted = below.copy()
        corner = np.array([x0 * 16, y0 * 16], np.int32)
        cv2.fillPoly(painted, [pixels - corner], colour, cv2.LINE_AA, 4)
        cv2.addWeighted(painted, strength, below, 1 - strength, 0, dst=painted)
        self.image[y0:y1, x0:x1] = painted

    def _pixels(self, points: Points) -> npt.NDArray[np.int32]:
        pixels: Points = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        # 4 fractional bits: the last argument of OpenCV's drawing calls.
        fixed: npt.NDArray[np.int32] = np.round(pixels * 16).astype(np.int32)
        return fixed


def _channels(colour: Colour | int) -> Sequence[int]:
    return (colour,) if isinstance(colour, int) else colour


def between(palette: Sequence[Colour], rng: np.random.Generator) -> Colour:
    """Return a random colour between neighbours of a palette."""
    position = rng.uniform(0, len(palette) - 1)
    first = int(position)
    share = position - first
    return mix(palette[first], palette[min(first + 1, len(palette) - 1)], share)


def mix(start: Colour, end: Colour, share: float) -> Colour:
    """Return a colour between two: the first at share 0, the second at 1."""
    r, g, b = (round(a + (c - a) * share) for a, c in zip(start, end, strict=True))
    return r, g, b


def jitter(colour: Colour, rng: np.random.Generator, by: float) -> Colour:
    """Return a random colour near another, at most `by` away in each channel."""
    r, g, b = (int(c) for c in np.clip(np.array(colour) + rng.uniform(-by, by, 3), 0, 255))
    return r, g, b


def grey(colour: Colour) -> float:
    """Return the grey level of a colour, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def oval(x: float, y: float, rx: float, ry: float, power: float = 2.0) -> Points:
    """Return an ellipse; a higher power makes it more rectangular."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        [
            x + rx * np.sign(cos) * np.abs(cos) ** (2 / power),
            y + ry * np.sign(sin) * np.abs(sin) ** (2 / power),
        ],
        axis=1,
    )


def curve(*through: tuple[float, float], steps: int = 16) -> Points:
    """Return a Bezier curve with these control points; it passes through first and last."""
    t = np.linspace(0, 1, steps)[:, None, None]
    points = np.array(through)[None]
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - t) + points[:, 1:] * t
    return np.asarray(points[:, 0])
