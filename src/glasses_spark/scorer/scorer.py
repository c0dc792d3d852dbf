"""Scorer: an exported model that scores photographs, without Spark and without TensorFlow."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import ScoringError
from glasses_spark.extras import require_extra
from glasses_spark.runtime.machine import count_cores
from glasses_spark.scorer.face_detector import Detector, open_detector
from glasses_spark.scorer.photo import Photo, decode_photo
from glasses_spark.scorer.photos import list_photos, read_photos
from glasses_spark.scoring.model_metadata import KEY, ONNX_FILE, ModelMetadata
from glasses_spark.scoring.pixel_statistics import PixelStatistics
from glasses_spark.scoring.runtimes import AUTO, Run, open_runtime

# Rows in one call of the model. A small batch stays in the processor's cache.
BATCH: Final = 32

# A model file may come from a stranger; a runtime needs several times its size.
_LARGEST_MODEL: Final = 2**31 - 1


@dataclass(frozen=True)
class Score:
    """Result for one photograph.

    Attributes:
        name: Absolute path, ``-`` for standard input, or the name that was given.
        probability: Probability of the label 1, in [0, 1]; None if there is an error.
        label: 1 if the probability reaches the threshold, else 0; None as for ``probability``.
        error: Why the photograph cannot be decoded or aligned; None if it can.
        warning: How the photograph differs from the training pictures, so that the probability
            may mean nothing; None if it does not, or if the model does not know them.
    """

    name: str
    probability: float | None = None
    label: int | None = None
    error: str | None = None
    warning: str | None = None


class Scorer:
    """A model for scoring without Spark and without TensorFlow.

    Args:
        content: ONNX file that ``glasses-spark export`` or ``train`` has written.
        source: What the model is called in messages.
        threshold: Probability in [0, 1] from which on the label is 1; None: that of the model.
        runtime: ``openvino``, ``onnx``, or ``auto`` for the first one that is installed.
        threads: Threads that decode and compute, at least 1; None: one for each core. With more
            than one, as many processes decode if there are 64 files or more.
        align: Whether to find the face in each photograph and score it with the margins of the
            training pictures. A photograph with no face or several gets an error.

    Attributes:
        metadata: What the model says of itself.
        threshold: The threshold in use.

    Raises:
        ScoringError: The content is not such a model, or the threshold is not in its range.
        SetupError: The packages of the extra ``scoring`` are not installed, or for ``align`` those
            of the extra ``align``.
    """

    def __init__(
        self,
        content: bytes,
        *,
        source: str = "the model",
        threshold: float | None = None,
        runtime: str = AUTO,
        threads: int | None = None,
        align: bool = False,
    ) -> None:
        self.metadata = _read_metadata(content, source)
        self.threshold = self.metadata.threshold if threshold is None else threshold
        if not 0 <= self.threshold <= 1:
            raise ScoringError(f"threshold: expected a number from 0 to 1, got {threshold}")
        known = self.metadata.training_pixels
        self._statistics = None if known is None else PixelStatistics.from_dict(known)
        self._threads = threads or count_cores()
        self._detect: Detector | None = open_detector() if align else None
        self._run: Run = open_runtime(content, runtime=runtime, threads=threads)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        threshold: float | None = None,
        runtime: str = AUTO,
        threads: int | None = None,
        align: bool = False,
    ) -> Scorer:
        """Load a model from a file.

        Args:
            path: ONNX file, or a folder with ``model.onnx`` such as a run folder.
            threshold: As for the class.
            runtime: As for the class.
            threads: As for the class.
            align: As for the class.

        Raises:
            ScoringError: There is no such file, or it is not a model of this library.
            SetupError: As for the class.
        """
        path = Path(path)
        file = path / ONNX_FILE if path.is_dir() else path
        try:
            status = file.stat()
            # Reading a pipe would block, and a device might never end.
            is_file = stat.S_ISREG(status.st_mode)
            if not is_file or status.st_size > _LARGEST_MODEL:
                found = f"{status.st_size:,}" if is_file else "something else"
                raise ScoringError(
                    f"{file}: expected a file of at most {_LARGEST_MODEL:,} bytes, found {found}"
                )
            content = file.read_bytes()
        except FileNotFoundError:
            advice = f"Write it: glasses-spark export --model {path}"
            raise ScoringError(
                f"{file}: no such file. {advice if path.is_dir() else 'Correct the path'}"
            ) from None
        except OSError as error:
            raise ScoringError(f"{file} cannot be read: {error.strerror}") from error
        return cls(
            content,
            source=str(file),
            threshold=threshold,
            runtime=runtime,
            threads=threads,
            align=align,
        )

    def predict(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs of the model for a batch.

        Args:
            batch: For a model of images ``(rows, height, width)``, with or without a last side
                of 1, grey: uint8 from 0 to 255, or float32 in [0, 1] if the model takes that.
                For another model ``(rows, ...)`` of its input's type and shape.

        Returns:
            float32 of shape ``(rows, outputs)``.

        Raises:
            ScoringError: The batch has another type or shape.
        """
        height, width = self.metadata.height, self.metadata.width
        if height is not None and width is not None:
            size = (height, width)
            wanted = np.uint8 if self.metadata.takes_pixels else np.float32
            if batch.dtype != wanted or batch.shape[1:] not in (size, (*size, 1)):
                raise ScoringError(
                    f"expected {np.dtype(wanted)} of shape (rows, {size[0]}, {size[1]}), got "
                    f"{batch.dtype} of shape {batch.shape}"
                )
            batch = batch.reshape(-1, height, width, 1)
        try:
            return np.asarray(self._run([batch])[0])
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ScoringError(f"the model cannot score {batch.shape}: {reason}") from error

    def score(self, *locations: str | Path) -> Iterator[Score]:
        """Score photographs.

        Args:
            locations: PNG and JPEG files, folders, globs, and ``-`` for standard input.

        Yields:
            One result for each file, in the order of the locations, also for those that
            cannot be decoded. Memory does not depend on the number of files.

        Raises:
            ImagesError: A location has no image file.
            ScoringError: The model does not take images.
        """
        names = list_photos(map(str, locations))
        return self.score_files(names)

    def score_files(self, names: Iterable[str]) -> Iterator[Score]:
        """Score files of ``list_photos``; as ``score``."""
        height, width = self.size
        photos = read_photos(
            names, height=height, width=width, threads=self._threads, detect=self._detect
        )
        while batch := list(islice(photos, BATCH)):
            yield from self._scores(batch)

    def score_bytes(self, content: bytes, *, name: str = "") -> Score:
        """Score one PNG or JPEG file in memory.

        Args:
            content: The complete file.
            name: Name in the result.
        """
        return self._scores([self.decode(content, name=name)])[0]

    def decode(self, content: bytes, *, name: str = "") -> Photo:
        """Decode one PNG or JPEG file in memory for ``probabilities``, and align it if so set.

        Args:
            content: The complete file.
            name: Name in the result.

        Returns:
            The pixels, or the reason why there are none.
        """
        height, width = self.size
        return decode_photo(name, lambda: content, height=height, width=width, detect=self._detect)

    def warning(self, pixels: NDArray[np.uint8]) -> str | None:
        """Return how a decoded image differs from the training pictures; see `Score`.

        Args:
            pixels: ``(height, width)``, uint8 grey.
        """
        return None if self._statistics is None else self._statistics.warning(pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images that the model takes, in pixels.

        Raises:
            ScoringError: The model does not take images.
        """
        height, width = self.metadata.height, self.metadata.width
        if height is None or width is None:
            raise ScoringError(
                "the model does not take images: its metadata have no height and width. Call "
                "predict with its features"
            )
        return height, width

    def _scores(self, photos: list[Photo]) -> list[Score]:
        pixels = [photo.pixels for photo in photos if photo.pixels is not None]
        probabilities = iter(self.probabilities(np.stack(pixels)) if pixels else ())
        scores = []
        for photo in photos:
            if photo.pixels is None:
                scores.append(Score(photo.name, error=photo.error))
            else:
                probability = float(next(probabilities))
                label = int(probability >= self.threshold)
                warning = self.warning(photo.pixels)
                scores.append(Score(photo.name, probability, label, warning=warning))
        return scores

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of the label 1 of decoded images.

        Args:
            pixels: ``(rows, height, width)``, uint8 grey, at least one row.

        Returns:
            float32 of shape ``(rows,)``, in [0, 1].

        Raises:
            ScoringError: The model does not return one probability for an image.
        """
        batch: NDArray[Any] = pixels
        if not self.metadata.takes_pixels:
            batch = pixels.astype(np.float32) / np.float32(255)
        outputs = self.predict(batch)
        if outputs.shape != (len(pixels), 1):
            raise ScoringError(
                f"expected a model with one probability for an image, found {outputs.shape[1:]} "
                "values. Call predict"
            )
        probabilities = outputs[:, 0]
        # False for NaN as well.
        if not np.all((probabilities >= 0) & (probabilities <= 1)):
            raise ScoringError(
                "expected probabilities from 0 to 1, got "
                f"{float(probabilities[~((probabilities >= 0) & (probabilities <= 1))][0])} from "
                "the model. Export it again"
            )
        return probabilities


def _read_metadata(content: bytes, source: str) -> ModelMetadata:
    onnx = require_extra("onnx", extra="scoring", purpose="scoring without Spark")
    try:
        model = onnx.load_model_from_string(content)
        stored = {entry.key: entry.value for entry in model.metadata_props}
    except Exception as error:
        raise ScoringError(f"{source}: expected an ONNX file, found something else") from error
    if _refers_to_files(model):
        # By paths of its choice, which OpenVINO would read.
        raise ScoringError(
            f"{source}: expected a model in one file, found one that refers to other files. "
            "Export it again"
        )
    if KEY not in stored:
        raise ScoringError(
            f"{source}: expected a model that `glasses-spark export` has written, found one "
            f"without the metadata {KEY!r}"
        )
    return ModelMetadata.from_json(stored[KEY], source=source)


def _refers_to_files(message: Any) -> bool:
    """Return whether a tensor anywhere in a part of an ONNX model is in another file."""
    for field, value in message.ListFields():
        if field.name == "external_data":
            return True
        if field.message_type is not None:
            parts = value if isinstance(value, Iterable) else [value]
            if any(map(_refers_to_files, parts)):
                return True
    return False
