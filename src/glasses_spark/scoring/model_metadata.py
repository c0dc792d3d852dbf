"""Metadata of an exported model: how to prepare its input, and what its output means."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from glasses_spark.errors import ScoringError

# Key of the metadata in formats that have keys.
KEY: Final = "glasses_spark"

# Name of the exported model in a run folder.
ONNX_FILE: Final = "model.onnx"

# A file may come from a stranger.
_MOST_CHARACTERS: Final = 100_000
_LARGEST_SIDE: Final = 16_384
_MOST_PIXELS: Final = 2**22


@dataclass(frozen=True)
class ModelMetadata:
    """What a reader of an exported model has to know.

    Attributes:
        height: Rows of an image in pixels, 1 to 16,384; None for a model of other features.
        width: Columns of an image in pixels, 1 to 16,384, with the rows at most 4 million pixels;
            None for a model of other features.
        takes_pixels: Whether the input is grey pixels, uint8 from 0 black to 255 white; else
            float32 in [0, 1].
        threshold: Probability in [0, 1] from which on the predicted label is 1.
        temperature: Number above 0 by which the logits were divided; it is in the weights.
        labels: Names of the labels 0 and 1.
        digest: Digest of architecture and weights, as in ``metrics.json``; empty if unknown.
        versions: Versions of the packages that exported the model.
        training_pixels: Statistics of the training pixels, from ``PixelStatistics.as_dict``; None
            if they are unknown.
    """

    height: int | None = None
    width: int | None = None
    takes_pixels: bool = False
    threshold: float = 0.5
    temperature: float = 1.0
    labels: tuple[str, ...] = ("no glasses", "glasses")
    digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    training_pixels: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        """Return the metadata as JSON, which ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, *, source: str) -> ModelMetadata:
        """Read and check metadata.

        Args:
            text: Return value of ``to_json``.
            source: What has the metadata, for the message.

        Raises:
            ScoringError: It is something else, or a value is not in its range.
        """
        try:
            if len(text) > _MOST_CHARACTERS:
                raise ValueError(f"{len(text)} characters")
            content = json.loads(text)
            found = cls(**{**content, "labels": tuple(content["labels"])})
            problem = found._problem()
            if found.training_pixels is not None:
                # Imported here: the metadata of a model without them need no OpenCV.
                from glasses_spark.scoring.pixel_statistics import PixelStatistics

                PixelStatistics.from_dict(found.training_pixels)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            problem = str(error) or type(error).__name__
        if problem:
            raise ScoringError(
                f"{source}: expected the metadata that `glasses-spark export` writes, found "
                f"{problem}. Export the model again"
            )
        return found

    def _problem(self) -> str | None:
        """Return a wrong value with its name; None if all are right."""
        rules: dict[str, Any] = {
            "height": _is_side(self.height),
            "width": _is_side(self.width)
            and (self.height or 0) * (self.width or 0) <= _MOST_PIXELS,
            "takes_pixels": isinstance(self.takes_pixels, bool),
            "threshold": _is_number(self.threshold) and 0 <= self.threshold <= 1,
            "temperature": _is_number(self.temperature) and self.temperature > 0,
            "labels": all(isinstance(label, str) for label in self.labels),
            "digest": isinstance(self.digest, str),
            "versions": isinstance(self.versions, dict)
            and all(isinstance(version, str) for version in self.versions.values()),
        }
        wrong = [name for name, is_right in rules.items() if not is_right]
        return f"{wrong[0]}={getattr(self, wrong[0])!r}"[:200] if wrong else None


def _is_side(value: Any) -> bool:
    return value is None or (type(value) is int and 1 <= value <= _LARGEST_SIDE)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
