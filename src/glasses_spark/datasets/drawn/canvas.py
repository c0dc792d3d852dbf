"""A canvas in face units, and the curves and colours that a drawing is made of.

Points are float64 arrays of shape (n, 2) in face units; colours are RGB, 0 to 255. Only
whoever writes the file knows OpenCV's BGR.
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
    """An image and the affine map from face units to its pixels."""

    def __init__(self, image: Image, matrix: Points) -> None:
        self.image = image
        self.matrix = matrix  # (2, 3)
        self.unit = float(np.hypot(matrix[0, 0], matrix[1, 0]))  # pixels to one face unit

    @classmethod
    def posed(cls, size: int, rng: np.random.Generator) -> Canvas:
        """An empty canvas of size x size px, the head on it a little off, near, or tilted."""
        unit = size * rng.uniform(0.32, 0.37)
        turn = math.radians(float(np.clip(rng.normal(0, 4), -10, 10)))
        x, y = size * rng.uniform([0.47, 0.45], [0.53, 0.51])
        cos, sin = unit * math.cos(turn), unit * math.sin(turn)
        matrix = np.array([[cos, -sin, x], [sin, cos, y]])
        return cls(np.zeros((size, size, 3), np.uint8), matrix)

    def layer(self, shrink: int, value: int) -> Canvas:
        """A smaller grey canvas over the same scene, filled with one value."""
        side = self.image.shape[0] // shrink
        return Canvas(np.full((side, side), value, np.uint8), self.matrix / shrink)

    def fill(self, points: Points, colour: Colour | int) -> None:
        """Fill a closed shape."""
        cv2.fillPoly(self.image, [self._pixels(points)], _channels(colour), cv2.LINE_AA, 4)

    def stroke(
        self, points: Points, colour: Colour | int, width: float, *, closed: bool = False
    ) -> None:
        """Draw a line of a width in face units, at least one pixel wide."""
        thickness = max(1, round(width * self.unit))
        pixels = self._pixels(points)
        cv2.polylines(self.image, [pixels], closed, _channels(colour), thickness, cv2.LINE_AA, 4)

    def glaze(self, points: Points, colour: Colour, strength: float) -> None:
        """Fill with a see-through colour; strength 0 is invisible, 1 opaque."""
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
        placed: Points = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        # 4 fractional bits, as the last argument of OpenCV's drawing calls says.
        fixed: npt.NDArray[np.int32] = np.round(placed * 16).astype(np.int32)
        return fixed


def _channels(colour: Colour | int) -> Sequence[int]:
    return (colour,) if isinstance(colour, int) else colour


def between(palette: Sequence[Colour], rng: np.random.Generator) -> Colour:
    """A colour somewhere along a palette."""
    place = rng.uniform(0, len(palette) - 1)
    first = int(place)
    share = place - first
    return mix(palette[first], palette[min(first + 1, len(palette) - 1)], share)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: the first at share 0, the other at 1."""
    r, g, b = (round(a + (c - a) * share) for a, c in zip(one, other, strict=True))
    return r, g, b


def jitter(colour: Colour, rng: np.random.Generator, by: float) -> Colour:
    """A colour near another, at most `by` away in each channel."""
    r, g, b = (int(c) for c in np.clip(np.array(colour) + rng.uniform(-by, by, 3), 0, 255))
    return r, g, b


def grey(colour: Colour) -> float:
    """How light a colour is, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def oval(x: float, y: float, rx: float, ry: float, power: float = 2.0) -> Points:
    """An ellipse; a higher power squares it off."""
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
    """A Bezier curve with the given control points; it touches the first and the last."""
    t = np.linspace(0, 1, steps)[:, None, None]
    points = np.array(through)[None]
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - t) + points[:, 1:] * t
    return np.asarray(points[:, 0])
