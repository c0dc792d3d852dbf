"""Gallery: the most confident errors and the least certain predictions, with pictures."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL, PATH, PREDICTED_LABEL, PREDICTION
from glasses_spark.reports.saliency import Score, occlusion_maps

# Faces of each kind: two rows of six on a wide page.
FACES: Final = 12
_PROBABILITY: Final = "probability"

# An estimate: 200 bytes a row in the driver, more as Python objects.
_COLLECTED_ROWS: Final = 50_000


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


@dataclass(frozen=True)
class Choice:
    """The images of a gallery, without their pictures.

    Attributes:
        mistakes: Rows of misclassified images, the most confident first.
        uncertain: Rows of images with a probability close to 0.5, the closest first.
    """

    mistakes: tuple[Mapping[str, Any], ...]
    uncertain: tuple[Mapping[str, Any], ...]

    @property
    def ids(self) -> set[int]:
        """Ids of the images."""
        return {row[ID] for row in (*self.mistakes, *self.uncertain)}

    def gallery(self, pixels: Mapping[int, bytes], *, height: int, width: int) -> Gallery:
        """Return the gallery, without occlusion maps.

        Args:
            pixels: Pixels of each image by id, ``height * width`` bytes.
            height: Height of a picture in pixels.
            width: Width of a picture in pixels.
        """
        pictures = {
            number: np.frombuffer(content, np.uint8).reshape(height, width)
            for number, content in pixels.items()
        }

        def faces(rows: Iterable[Mapping[str, Any]]) -> tuple[Face, ...]:
            return tuple(
                Face(
                    row[ID],
                    row[PATH],
                    row[LABEL],
                    row[PREDICTED_LABEL],
                    row[_PROBABILITY],
                    pictures[row[ID]],
                )
                for row in rows
            )

        return Gallery(faces(self.mistakes), faces(self.uncertain))


def choose_faces(predictions: DataFrame, *, rows: int, count: int = FACES) -> Choice:
    """Select the most confident errors and the least certain predictions, in one Spark job.

    Args:
        predictions: One row per image: ``id``, ``path``, ``label``, ``prediction`` and
            ``predicted_label``. May be read twice, so persist it.
        rows: Number of rows, or an estimate of it. Up to 50,000 are collected, which takes less
            time than to sort them in Spark.
        count: Most faces of each kind.
    """
    probability = F.get(PREDICTION, 0).cast("double").alias(_PROBABILITY)
    found = predictions.select(ID, PATH, LABEL, PREDICTED_LABEL, probability)
    if rows > _COLLECTED_ROWS:
        wrong = found.where(F.col(LABEL) != F.col(PREDICTED_LABEL))
        error, doubt = F.abs(F.col(LABEL) - F.col(_PROBABILITY)), F.abs(F.col(_PROBABILITY) - 0.5)
        found = (
            wrong.orderBy(-error, ID).limit(count).union(found.orderBy(doubt, ID).limit(count))
        ).distinct()
    candidates = found.toArrow().to_pylist()

    # Ordered by id on ties, so that the same run shows the same faces.
    def error_of(row: Mapping[str, Any]) -> tuple[float, int]:
        return -abs(row[LABEL] - row[_PROBABILITY]), row[ID]

    def doubt_of(row: Mapping[str, Any]) -> tuple[float, int]:
        return abs(row[_PROBABILITY] - 0.5), row[ID]

    mistakes = [row for row in candidates if row[LABEL] != row[PREDICTED_LABEL]]
    return Choice(
        tuple(heapq.nsmallest(count, mistakes, error_of)),
        tuple(heapq.nsmallest(count, candidates, doubt_of)),
    )


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
