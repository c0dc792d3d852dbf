"""Pictures of images, from their pixels to HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, PIXELS

Picture: TypeAlias = npt.NDArray[np.uint8]


def pictures_by_id(
    pixels: DataFrame, ids: Iterable[int], *, height: int, width: int
) -> dict[int, Picture]:
    """Collect the pictures of some images.

    Args:
        pixels: ``id`` and ``pixels`` (``height * width`` bytes) of at least these images.
        ids: Ids of the images.
        height: Height of a picture in pixels.
        width: Width of a picture in pixels.

    Returns:
        Pictures by id, each ``(height, width)``, uint8 grey.
    """
    rows = pixels.where(F.col(ID).isin(sorted(ids))).select(ID, PIXELS).collect()
    return {row[ID]: np.frombuffer(row[PIXELS], np.uint8).reshape(height, width) for row in rows}


def png(picture: Picture) -> bytes:
    """Encode a picture as PNG.

    Args:
        picture: uint8, ``(height, width)`` grey or ``(height, width, 4)`` red, green, blue and
            alpha.
    """
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3]]  # OpenCV's channel order
    _, encoded = cv2.imencode(".png", picture)
    return bytes(encoded)


def data_uri(picture: Picture) -> str:
    """Return a picture for `png` as the source of an HTML image."""
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
