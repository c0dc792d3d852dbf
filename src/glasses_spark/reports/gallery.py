"""Gallery: the most confident errors and the least certain predictions, with pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL, PATH, PREDICTED_LABEL, PREDICTION
from glasses_spark.reports.pictures import pictures_by_id
from glasses_spark.reports.saliency import Score, occlusion_maps

# Faces of each kind: two rows of six on a wide page.
FACES: Final = 12
_PROBABILITY: Final = "probability"
_DISTANCE: Final = "distance"
_KIND: Final = "kind"


@dataclass(frozen=True)
class Face:
    """One image of the gallery.

    Attributes:
        id: Id of the image.
        path: Path of its file, as Spark writes it.
        label: 1.0 with glasses, 0.0 without.
        predicted_label: 1.0 or 0.0.
        probability: Predicted probability of glasses, in [0, 1].
        picture: ``(height, width)``, uint8 grey, as the model receives it.
        evidence: ``(height, width)``, float32, the occlusion map (see `occlusion_maps`); None
            if it was not computed.
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
        mistakes: Misclassified images, the most confident first.
        uncertain: Images with a probability close to 0.5, the closest first.
    """

    mistakes: tuple[Face, ...]
    uncertain: tuple[Face, ...]


def choose_faces(
    predictions: DataFrame, pixels: DataFrame, *, height: int, width: int, count: int = FACES
) -> Gallery:
    """Select the most confident errors and the least certain predictions, with their pictures.

    Runs two Spark jobs and collects at most ``2 * count`` rows.

    Args:
        predictions: One row per image: ``id``, ``path``, ``label``, ``prediction`` and
            ``predicted_label``. Read twice, so persist it.
        pixels: ``id`` and ``pixels`` (``height * width`` bytes) of at least these images.
        height: Height of a picture in pixels.
        width: Width of a picture in pixels.
        count: Most faces of each kind.

    Returns:
        The gallery, without occlusion maps.
    """
    rows = predictions.select(
        ID,
        PATH,
        LABEL,
        PREDICTED_LABEL,
        F.get(PREDICTION, 0).cast("double").alias(_PROBABILITY),
    )
    # Ordered by id on ties, so that the same run shows the same faces.
    wrong = (
        rows.where(F.col(LABEL) != F.col(PREDICTED_LABEL))
        .withColumn(_DISTANCE, -F.abs(F.col(LABEL) - F.col(_PROBABILITY)))
        .withColumn(_KIND, F.lit("mistakes"))
    )
    uncertain = rows.withColumn(_DISTANCE, F.abs(F.col(_PROBABILITY) - 0.5)).withColumn(
        _KIND, F.lit("uncertain")
    )
    chosen = [
        row.asDict()
        for row in wrong.orderBy(_DISTANCE, ID)
        .limit(count)
        .union(uncertain.orderBy(_DISTANCE, ID).limit(count))
        .collect()
    ]
    pictures = pictures_by_id(pixels, {row[ID] for row in chosen}, height=height, width=width)

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
    """Add an occlusion map to each face.

    Args:
        gallery: Faces of one size.
        score: Returns the logits ``(batch,)`` of pictures ``(batch, height, width)``, uint8.
    """
    # A face of both kinds is scored once.
    faces = {face.id: face for face in (*gallery.mistakes, *gallery.uncertain)}
    if not faces:
        return gallery
    maps = occlusion_maps(score, np.stack([face.picture for face in faces.values()]))
    map_by_id = dict(zip(faces, maps, strict=True))

    def add_maps(row: Iterable[Face]) -> tuple[Face, ...]:
        return tuple(replace(face, evidence=map_by_id[face.id]) for face in row)

    return Gallery(add_maps(gallery.mistakes), add_maps(gallery.uncertain))
