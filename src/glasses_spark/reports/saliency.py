"""Saliency: which part of a picture a network's answer rests on."""

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

# A patch of a fifth of the picture covers an eye with its rim, and not much else of a face.
_PATCH: Final = 1 / 5

# Standard deviation of the blur, as a part of the side: what is finer than a cheek is gone.
_BLUR: Final = 0.08

# Places of the patch along a side. For 24 pictures of 128 x 128, 10 x 10 of them cost the CNN
# about as much as scoring 2,400 images; larger pictures get fewer, for about the same work, but
# enough to cover every pixel.
_PLACES: Final = 10
_PIXELS_SCORED: Final = 24 * _PLACES**2 * 128**2

# Pixels that the network sees at once: 16 MB of float32.
_PIXELS_AT_ONCE: Final = 2**22


def occlusion_maps(score: Score, pictures: Pictures) -> Maps:
    """Find what the network looked at, by taking one place after the other out of the picture.

    A patch is slid over the picture (Zeiler and Fergus, Visualizing and Understanding
    Convolutional Networks, 2014, section 4.2) in which it is blurred, softly at the border
    (Fong and Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation,
    2017). Where the logit drops, what was taken out spoke for class 1; where it rises, against
    it. Covered with grey instead, as the older work has it, eyes look like glasses to the
    network.

    Args:
        score: Gives the logits ``(batch,)`` of pictures ``(batch, height, width)``, uint8.
        pictures: ``(pictures, height, width)``, uint8 grey.

    Returns:
        ``(pictures, height, width)``, float32: at each pixel the mean drop of the logit over
        the patches that hold it, weighted by how near their middle it lies; above 0 where it
        spoke for class 1.
    """
    count, height, width = pictures.shape
    if not count:
        return np.zeros(pictures.shape, np.float32)
    tall, broad = _patch_side(height), _patch_side(width)
    corners = _corners(count, height, width)
    places = [np.s_[y : y + tall, x : x + broad] for y, x in corners]
    # A patch says most about its middle; without weights its edges would show in the map.
    weight = np.outer(_hump(tall), _hump(broad)).astype(np.float32)
    mask = np.minimum(2 * weight, 1)
    weights = np.zeros((height, width), np.float32)
    for place in places:
        weights[place] += weight
    maps = np.zeros(pictures.shape, np.float32)
    at_once = max(1, _PIXELS_AT_ONCE // (height * width))
    for evidence, picture in zip(maps, pictures, strict=True):
        blurred = cv2.GaussianBlur(picture, (0, 0), width * _BLUR, sigmaY=height * _BLUR)
        # The picture as it is comes first, so that one pass gives all drops.
        views = np.repeat(picture[None], 1 + len(places), axis=0)
        for view, place in zip(views[1:], places, strict=True):
            difference = blurred[place].astype(np.float32) - picture[place]
            view[place] = np.round(picture[place] + mask * difference)
        logits = np.concatenate(
            [score(views[start : start + at_once]) for start in range(0, len(views), at_once)]
        )
        for drop, place in zip(logits[0] - logits[1:], places, strict=True):
            evidence[place] += drop * weight
    return maps / weights


def overlay(evidence: npt.NDArray[np.float32], *, glasses: str, none: str) -> npt.NDArray[Any]:
    """Colour a map, to be laid over its picture.

    Args:
        evidence: ``(height, width)``, as `occlusion_maps` gives it.
        glasses: Colour ``#rrggbb`` of what spoke for class 1.
        none: Colour of what spoke against it.

    Returns:
        ``(height, width, 4)``, uint8, red, green, blue and opacity: clear where nothing
        depended on the place, densest where most did.
    """
    strongest = float(np.abs(evidence).max())
    share = np.abs(evidence) / strongest if strongest > 0 else np.zeros_like(evidence)
    colours = np.where((evidence > 0)[..., None], _rgb(glasses), _rgb(none))
    # Not opaque anywhere, and the weak places nearly clear: the face stays to be seen.
    return np.dstack([colours, np.round(share**1.5 * 0.7 * 255)]).astype(np.uint8)


def _patch_side(side: int) -> int:
    return max(1, round(side * _PATCH))


def _hump(length: int) -> npt.NDArray[np.float64]:
    """A window that rises to 1 in the middle (Hann's), and is above 0 at its ends."""
    hump: npt.NDArray[np.float64] = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    return hump


def _corners(count: int, height: int, width: int) -> list[tuple[int, int]]:
    """Top left corners of the patch, evenly spread from border to border."""
    affordable = int((_PIXELS_SCORED / (count * height * width)) ** 0.5)
    rows, columns = (
        np.linspace(
            0,
            side - _patch_side(side),
            max(min(_PLACES, affordable), math.ceil(side / _patch_side(side))),
        )
        .round()
        .astype(int)
        for side in (height, width)
    )
    return [(int(y), int(x)) for y in rows for x in columns]


def _rgb(colour: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)
