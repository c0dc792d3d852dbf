"""Pictures for the benchmarks: PNG files that cost what photographs cost to decode."""

from __future__ import annotations

import cv2
import numpy as np

# Tuned to genuine StyleGAN faces of 1024 x 1024: 1.2 to 1.6 MB, with the Paeth filter on
# 98 rows of 100 and more, as libpng chooses it for pictures that are smooth from one pixel
# to the next. (White noise would have it choose the average of two neighbours.)
_AMPLITUDE = 45.0
_COARSEST = 4
_FADING = 0.5
_COLOUR = 0.4


def photo_like_png(size: int, seed: int) -> bytes:
    """Make the 8-bit RGB PNG of a picture that never was: shapes and texture of all sizes.

    Args:
        size: Rows and columns, at least 8.
        seed: Of the picture; some are busier than others.
    """
    generator = np.random.default_rng(seed)
    amplitude = _AMPLITUDE * generator.uniform(0.6, 1.4)
    picture = np.full((size, size, 3), 118, np.float32)
    side = _COARSEST
    # Up to half the size: the finest details are two pixels wide.
    while side <= size // 2:
        light = generator.standard_normal((side, side, 1), np.float32)
        colour = generator.standard_normal((side, side, 3), np.float32)
        blobs = light + np.float32(_COLOUR) * colour
        strength = np.float32(amplitude * (_COARSEST / side) ** _FADING)
        picture += strength * cv2.resize(blobs, (size, size), interpolation=cv2.INTER_CUBIC)
        side *= 2
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    # What Pillow and most programs use; OpenCV's default is quicker, with other filters.
    options = [cv2.IMWRITE_PNG_COMPRESSION, 6]
    options += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    done, content = cv2.imencode(".png", pixels, options)
    if not done:
        raise RuntimeError("OpenCV wrote no PNG")
    return bytes(content.tobytes())
