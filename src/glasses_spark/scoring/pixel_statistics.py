"""Statistics of the training pictures, and how another picture differs from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

# Share of the training pictures below a lower and above an upper bound. Of 1,300 drawn faces that
# were not measured 8 are beyond one of the eight bounds from 1,700 others.
TAIL: Final = 0.0005

# With fewer rows similar pictures would be beyond a bound too often: with 500, one in 60.
LEAST_ROWS: Final = 500

# Side of the map of outlines.
_GRID: Final = 16

# What a picture is that is below or above a bound. No picture is too similar to the others.
_WORDS: Final[dict[str, tuple[str, str | None]]] = {
    "brightness": ("darker", "brighter"),
    "contrast": ("lower in contrast", "higher in contrast"),
    "sharpness": ("less sharp", "sharper or noisier"),
    "outline": ("less like their mean in outline", None),
    "upright": ("more like an upside-down one", None),
}
MEASURES: Final = tuple(_WORDS)

# Values of a row of ``measure_pixels``: brightness, contrast, sharpness, and the map of outlines.
ROW: Final = 3 + _GRID * _GRID


@dataclass(frozen=True)
class PixelStatistics:
    """What training pictures look like.

    Attributes:
        rows: Training pictures that were measured, at least 500.
        outline: Mean map of outlines, ``(16, 16)`` row by row, in steps of 1/255 of its largest
            value.
        bounds: By measure the bounds below and above which a picture differs from the training
            pictures; None for no bound. ``brightness`` and ``contrast`` are mean and standard
            deviation of the grey level, ``sharpness`` is the variance of the Laplacian,
            ``outline`` the correlation with the mean map, from -1 to 1, and ``upright`` what this
            correlation is above that of the picture upside down.
    """

    rows: int
    outline: bytes
    bounds: Mapping[str, tuple[float, float | None]]

    def warning(self, pixels: NDArray[np.uint8]) -> str | None:
        """Return how a picture differs from the training pictures; None if it does not.

        Args:
            pixels: uint8 of shape ``(height, width)``, as the model takes them.
        """
        values = _measures(measure_pixels(pixels), _unit(np.frombuffer(self.outline, np.uint8)))
        words = []
        for name, value in zip(MEASURES, values, strict=True):
            low, high = self.bounds[name]
            below, above = _WORDS[name]
            if value < low:
                words.append(below)
            elif high is not None and value > high and above is not None:
                words.append(above)
        if not words:
            return None
        return (
            f"unlike the training pictures: {', '.join(words)} than {100 * (1 - TAIL):.2f} % of "
            "them"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the statistics for JSON, which ``from_dict`` reads."""
        bounds = {name: list(ends) for name, ends in self.bounds.items()}
        return {"rows": self.rows, "bounds": bounds, "outline": self.outline.hex()}

    @classmethod
    def from_dict(cls, content: Any) -> PixelStatistics:
        """Read and check statistics.

        Raises:
            ValueError: They are something else than a return value of ``as_dict``.
        """
        try:
            rows, found = content["rows"], content["bounds"]
            outline = bytes.fromhex(content["outline"])
            bounds = {name: (found[name][0], found[name][1]) for name in MEASURES}
        except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
            raise ValueError("training_pixels of another form") from error
        is_right = (
            type(rows) is int
            and len(outline) == _GRID * _GRID
            and all(
                _is_number(low) and (high is None or _is_number(high))
                for low, high in bounds.values()
            )
        )
        if not is_right:
            raise ValueError("training_pixels with a value of another type")
        return cls(rows=rows, outline=outline, bounds=bounds)


def measure_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the statistics need of one picture.

    Args:
        pixels: uint8 of shape ``(height, width)``, 0 black to 255 white.

    Returns:
        float32 of shape ``(259,)``: brightness, contrast, sharpness and the map of outlines: in
        each cell of a grid the square root of the mean strength of edges.
    """
    sharpness = float(cv2.Laplacian(pixels, cv2.CV_32F).var())
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.0)  # against the grain of the film
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    # The last digits of OpenCV's own magnitude depend on where the memory begins.
    edges = np.sqrt(across * across + down * down)
    grid = cv2.resize(edges, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    basic = np.array([pixels.mean(), pixels.std(), sharpness], np.float32)
    return np.concatenate([basic, np.sqrt(grid).ravel()])


def summarize(rows: NDArray[np.float32]) -> PixelStatistics | None:
    """Return the statistics of training pictures.

    Args:
        rows: float32 of shape ``(pictures, 259)``, from ``measure_pixels``.

    Returns:
        The statistics; None for fewer than 500 pictures.
    """
    if len(rows) < LEAST_ROWS:
        return None
    mean = np.mean([_unit(row[3:]) for row in rows], axis=0)
    # The map of outlines that is saved, so that the bounds belong to it. Correlations do not
    # depend on offset and scale.
    span = max(float(np.ptp(mean)), 1e-9)
    outline = np.round((mean - mean.min()) / span * 255).astype(np.uint8)
    values = np.array([_measures(row, _unit(outline)) for row in rows])
    low, high = np.quantile(values, [TAIL, 1 - TAIL], axis=0)
    bounds = {
        name: (float(low[index]), float(high[index]) if _WORDS[name][1] else None)
        for index, name in enumerate(MEASURES)
    }
    return PixelStatistics(rows=len(rows), outline=outline.tobytes(), bounds=bounds)


def _measures(row: NDArray[np.float32], mean: NDArray[np.float64]) -> tuple[float, ...]:
    grid = row[3:].reshape(_GRID, _GRID)
    # Not a dot product: its last digits depend on where the memory begins.
    outline = float((_unit(grid) * mean).sum())
    upside_down = float((_unit(grid[::-1]) * mean).sum())
    return (float(row[0]), float(row[1]), float(row[2]), outline, outline - upside_down)


def _unit(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values with the mean 0 and the length 1; zeros if all are equal."""
    centred = values.astype(np.float64).ravel()
    centred -= centred.mean()
    length = math.sqrt(float((centred * centred).sum()))
    return centred / length if length > 1e-6 else np.zeros_like(centred)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
