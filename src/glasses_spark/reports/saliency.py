"""Occlusion maps: the regions of a picture on which a prediction depends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pictures: TypeAlias = npt.NDArray[np.uint8]
Maps: TypeAlias = npt.NDArray[np.float32]
Score: TypeAlias = Callable[[Pictures], npt.NDArray[np.float64]]

# A patch of a fifth of the side covers one eye with its rim.
_PATCH: Final = 1 / 5

# Standard deviation of the blur as a fraction of the side; it removes all details of glasses.
_BLUR: Final = 0.08

# Positions of the patch along a side. For 24 pictures of 128 x 128, 10 x 10 positions cost as
# much as scoring 2,400 images. Larger pictures get fewer positions for the same total cost, but
# always enough to cover every pixel.
_POSITIONS: Final = 10
_PIXELS_SCORED: Final = 24 * _POSITIONS**2 * 128**2

# Pixels per batch: 16 MB of float32.
_BATCH_PIXELS: Final = 2**22


def occlusion_maps(score: Score, pictures: Pictures) -> Maps:
    """Compute occlusion maps: the change of the logit when a region is blurred.

    A patch slides over the picture (Zeiler and Fergus, Visualizing and Understanding
    Convolutional Networks, 2014, section 4.2) and blurs the region below it, with a soft border
    (Fong and Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation,
    2017). If the logit drops, the region is evidence for class 1; if it rises, against it. A
    grey patch, as in the older paper, would make eyes look like glasses to the network.

    Args:
        score: Returns the logits ``(batch,)`` of pictures ``(batch, height, width)``, uint8.
        pictures: ``(pictures, height, width)``, uint8 grey.

    Returns:
        ``(pictures, height, width)``, float32: at each pixel the mean drop of the logit over
        the patches that cover it, weighted by the distance from their centre; positive for
        evidence for class 1.
    """
    count, height, width = pictures.shape
    if not count:
        return np.zeros(pictures.shape, np.float32)
    patch_height, patch_width = _patch_side(height), _patch_side(width)
    corners = _corners(count, height, width)
    patches = [np.s_[y : y + patch_height, x : x + patch_width] for y, x in corners]
    # Weighted towards the centre, so that the edges of the patches do not show in the map.
    weight = np.outer(_window(patch_height), _window(patch_width)).astype(np.float32)
    mask = np.minimum(2 * weight, 1)
    weights = np.zeros((height, width), np.float32)
    for patch in patches:
        weights[patch] += weight
    maps = np.zeros(pictures.shape, np.float32)
    batch = max(1, _BATCH_PIXELS // (height * width))
    for evidence, picture in zip(maps, pictures, strict=True):
        blurred = cv2.GaussianBlur(picture, (0, 0), width * _BLUR, sigmaY=height * _BLUR)
        # The unchanged picture first, as the reference of all drops.
        views = np.repeat(picture[None], 1 + len(patches), axis=0)
        for view, patch in zip(views[1:], patches, strict=True):
            difference = blurred[patch].astype(np.float32) - picture[patch]
            view[patch] = np.round(picture[patch] + mask * difference)
        logits = np.concatenate(
            [score(views[start : start + batch]) for start in range(0, len(views), batch)]
        )
        for drop, patch in zip(logits[0] - logits[1:], patches, strict=True):
            evidence[patch] += drop * weight
    return maps / weights


def overlay(evidence: npt.NDArray[np.float32], *, glasses: str, none: str) -> npt.NDArray[Any]:
    """Colour an occlusion map, as an overlay of its picture.

    Args:
        evidence: ``(height, width)``, from `occlusion_maps`.
        glasses: Colour ``#rrggbb`` of evidence for class 1.
        none: Colour ``#rrggbb`` of evidence against class 1.

    Returns:
        ``(height, width, 4)``, uint8, red, green, blue and alpha: transparent without evidence,
        densest for the strongest evidence.
    """
    strongest = float(np.abs(evidence).max())
    share = np.abs(evidence) / strongest if strongest > 0 else np.zeros_like(evidence)
    colours = np.where((evidence > 0)[..., None], _rgb(glasses), _rgb(none))
    # At most 70 % opaque, and weak evidence almost transparent, so that the face stays visible.
    return np.dstack([colours, np.round(share**1.5 * 0.7 * 255)]).astype(np.uint8)


def _patch_side(side: int) -> int:
    return max(1, round(side * _PATCH))


def _window(length: int) -> npt.NDArray[np.float64]:
    """Return a Hann window with a maximum of 1 that stays above 0 at its ends."""
    window: npt.NDArray[np.float64] = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    return window


def _corners(count: int, height: int, width: int) -> list[tuple[int, int]]:
    """Return top left corners of the patch, evenly spaced from border to border."""
    affordable = int((_PIXELS_SCORED / (count * height * width)) ** 0.5)
    rows, columns = (
        np.linspace(
            0,
            side - _patch_side(side),
            max(min(_POSITIONS, affordable), math.ceil(side / _patch_side(side))),
        )
        .round()
        .astype(int)
        for side in (height, width)
    )
    return [(int(y), int(x)) for y in rows for x in columns]


def _rgb(colour: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)
