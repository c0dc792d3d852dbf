"""Gallery: the few faces that a person should look at, with their pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL, PATH, PIXELS, PREDICTED_LABEL, PREDICTION
from glasses_spark.reports.saliency import Score, occlusion_maps

# Faces of a kind: two rows of six on a wide page, and soon looked through.
FACES: Final = 12
_PROBABILITY: Final = "probability"
_DISTANCE: Final = "distance"
_KIND: Final = "kind"


@dataclass(frozen=True)
class Face:
    """One face to look at.

    Attributes:
        id: Number of the image.
        path: Where its file lies, as Spark names it.
        label: 1.0 with glasses, 0.0 without.
        predicted_label: What the model took it for.
        probability: Probability of glasses that the model gave, in [0, 1].
        picture: ``(height, width)``, uint8 grey, as the model saw it.
        evidence: ``(height, width)``, float32, what the answer rests on (see
            `occlusion_maps`); None where that was not asked for.
    """

    id: int
    path: str
    label: float
    predicted_label: float
    probability: float
    picture: npt.NDArray[np.uint8] = field(repr=False)
    evidence: npt.NDArray[np.float32] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Gallery:
    """The faces of a report.

    Attributes:
        mistakes: Those that were judged wrongly, the surest first.
        uncertain: Those whose probability is nearest to one half, the nearest first.
    """

    mistakes: tuple[Face, ...]
    uncertain: tuple[Face, ...]


def choose_faces(
    predictions: DataFrame, pixels: DataFrame, *, height: int, width: int, count: int = FACES
) -> Gallery:
    """Choose the worst mistakes and the least certain answers, and fetch their pictures.

    Two Spark jobs; no more than ``2 * count`` rows come to the driver.

    Args:
        predictions: One row an image: ``id``, ``path``, ``label``, ``prediction`` and
            ``predicted_label``. Read twice: better kept in memory.
        pixels: ``id`` and ``pixels`` (``height * width`` bytes) of at least these images.
        height: Rows of a picture.
        width: Columns of a picture.
        count: Most faces of either kind.

    Returns:
        The gallery, without evidence.
    """
    rows = predictions.select(
        ID,
        PATH,
        LABEL,
        PREDICTED_LABEL,
        F.get(PREDICTION, 0).cast("double").alias(_PROBABILITY),
    )
    # The id decides between equals, so that the same run shows the same faces.
    wrong = (
        rows.where(F.col(LABEL) != F.col(PREDICTED_LABEL))
        .withColumn(_DISTANCE, -F.abs(F.col(LABEL) - F.col(_PROBABILITY)))
        .withColumn(_KIND, F.lit("mistakes"))
    )
    unsure = rows.withColumn(_DISTANCE, F.abs(F.col(_PROBABILITY) - 0.5)).withColumn(
        _KIND, F.lit("uncertain")
    )
    chosen = [
        row.asDict()
        for row in wrong.orderBy(_DISTANCE, ID)
        .limit(count)
        .union(unsure.orderBy(_DISTANCE, ID).limit(count))
        .collect()
    ]
    pictures = _pictures(pixels, {row[ID] for row in chosen}, height, width)

    def faces(kind: str) -> tuple[Face, ...]:
        of_kind = [row for row in chosen if row[_KIND] == kind]
        return tuple(
            Face(
                row[ID],
                row[PATH],
                row[LABEL],
                row[PREDICTED_LABEL],
                row[_PROBABILITY],
                pictures[row[ID]],
            )
            for row in sorted(of_kind, key=lambda row: (row[_DISTANCE], row[ID]))
        )

    return Gallery(faces("mistakes"), faces("uncertain"))


def with_evidence(gallery: Gallery, score: Score) -> Gallery:
    """Add to each face what the answer rests on.

    Args:
        gallery: Faces of one size.
        score: Gives the logits ``(batch,)`` of pictures ``(batch, height, width)``, uint8.
    """
    # A face may be in both rows; it is looked into once.
    faces = {face.id: face for face in (*gallery.mistakes, *gallery.uncertain)}
    if not faces:
        return gallery
    maps = occlusion_maps(score, np.stack([face.picture for face in faces.values()]))
    seen = dict(zip(faces, maps, strict=True))

    def added(row: Iterable[Face]) -> tuple[Face, ...]:
        return tuple(replace(face, evidence=seen[face.id]) for face in row)

    return Gallery(added(gallery.mistakes), added(gallery.uncertain))


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Encode a picture as PNG.

    Args:
        picture: ``(height, width)`` grey, or ``(height, width, 4)`` red, green, blue, opacity.
    """
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3]]  # OpenCV's order of colours
    _, encoded = cv2.imencode(".png", picture)
    return bytes(encoded)


def _pictures(
    pixels: DataFrame, ids: Iterable[int], height: int, width: int
) -> dict[int, npt.NDArray[np.uint8]]:
    rows = pixels.where(F.col(ID).isin(sorted(ids))).select(ID, PIXELS).collect()
    return {
        row[ID]: np.frombuffer(bytes(row[PIXELS]), np.uint8).reshape(height, width) for row in rows
    }
