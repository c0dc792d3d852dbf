"""Hard faces: drawn faces that are blurred and noisy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels

SIDE: Final = 128
BLURRED_SIDE: Final = 44
NOISE: Final = 22.0


def draw_hard_faces(folder: Path, count: int = 5000) -> Path:
    """Draw faces into a folder as PNG files of 128 x 128 grey pixels.

    Args:
        folder: The folder.
        count: Number of faces.

    Returns:
        Path of the labels.
    """
    labels = folder / "labels.csv"
    write_labels(labels, make_labels(count, seed=1))
    draw_faces(labels, folder)
    generator = np.random.default_rng(1)
    for path in sorted(folder.glob("*.png")):
        image = cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (SIDE, SIDE))
        small = cv2.resize(image, (BLURRED_SIDE,) * 2, interpolation=cv2.INTER_AREA)
        noise = generator.normal(0, NOISE, image.shape)
        noisy = np.clip(cv2.resize(small, (SIDE, SIDE)) + noise, 0, 255)
        cv2.imwrite(str(path), noisy.astype(np.uint8))
    return labels
