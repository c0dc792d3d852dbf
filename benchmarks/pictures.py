"""PNG files for the benchmarks, with the size and decoding cost of photographs."""

from __future__ import annotations

import cv2
import numpy as np

# Tuned to StyleGAN faces of 1024 x 1024: 1.2 to 1.6 MB, and the Paeth filter on at least 98 %
# of the rows, which libpng chooses for smooth pictures. White noise would get the average
# filter.
_AMPLITUDE = 45.0
_COARSEST = 4
_FADING = 0.5
_COLOUR = 0.4


def photo_like_png(size: int, seed: int) -> bytes:
    """Generate an 8-bit RGB PNG of random shapes and textures of all sizes.

    Args:
        size: Rows and columns, at least 8.
        seed: Seed of the picture. The amount of detail varies.
    """
    generator = np.random.default_rng(seed)
    amplitude = _AMPLITUDE * generator.uniform(0.6, 1.4)
    picture = np.full((size, size, 3), 118, np.float32)
    side = _COARSEST
    # The finest details are two pixels wide.
    while side <= size // 2:
        light = generator.standard_normal((side, side, 1), np.float32)
        colour = generator.standard_normal((side, side, 3), np.float32)
        blobs = light + np.float32(_COLOUR) * colour
        strength = np.float32(amplitude * (_COARSEST / side) ** _FADING)
        picture += strength * cv2.resize(blobs, (size, size), interpolation=cv2.INTER_CUBIC)
        side *= 2
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    # As Pillow and most programs do. OpenCV's default is faster and uses other filters.
    options = [cv2.IMWRITE_PNG_COMPRESSION, 6]
    options += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    encoded, content = cv2.imencode(".png", pixels, options)
    if not encoded:
        raise RuntimeError("OpenCV failed to encode the PNG")
    return bytes(content.tobytes())
