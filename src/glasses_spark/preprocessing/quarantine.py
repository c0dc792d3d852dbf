"""Quarantine of images that could not be read or decoded, with a reason for each."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import Column, DataFrame, Observation, Row
from pyspark.sql import functions as F

from glasses_spark.columns import ERROR, ID, LABEL, PATH, PIXELS
from glasses_spark.config.data import DataConfig
from glasses_spark.errors import ImagesError
from glasses_spark.printable import printable
from glasses_spark.reasons import Reason, reason_of

logger = logging.getLogger(__name__)

_EXAMPLES: Final = 3

# Columns of the counts.
_IMAGES: Final = "images"
_BAD: Final = "bad"
_PART: Final = "part"


@dataclass(frozen=True)
class QuarantinedImage:
    """An image that cannot be used.

    Attributes:
        path: Path of the file, as Spark writes it; escaped if the name is not UTF-8.
        id: Number in its name; None without one.
        reason: Code of the problem.
        detail: Short description of the problem.
    """

    path: str
    id: int | None
    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{printable(self.path)} ({printable(self.detail)})"


@dataclass(frozen=True)
class Counts:
    """Counts of decoded images.

    Attributes:
        images: All images.
        bad: Images that could not be decoded.
        parts: Number of good images by part of the split; empty if no parts were given.
    """

    images: int
    bad: int
    parts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class QuarantineResult:
    """Good images and the quarantine.

    Attributes:
        good: Decoded images: ``path``, ``id``, ``label`` and ``pixels``, none of them null.
        quarantine: Images that could not be read or decoded, ordered by path.
    """

    good: DataFrame
    quarantine: list[QuarantinedImage]


def count_images(frame: DataFrame, part: Column | None = None) -> Counts:
    """Count decoded images.

    Args:
        frame: Frame from ``to_pixels``.
        part: Part of each row, by which to count the good images; None for no parts.
    """
    by_part = F.lit("all") if part is None else part
    rows = (
        frame.groupBy(by_part.alias(_PART))
        .agg(F.count("*").alias(_IMAGES), F.count(ERROR).alias(_BAD))
        .collect()
    )
    images, bad = (sum(row[name] for row in rows) for name in (_IMAGES, _BAD))
    parts = {} if part is None else {row[_PART]: row[_IMAGES] - row[_BAD] for row in rows}
    return Counts(images, bad, parts)


def observe_counts(
    frame: DataFrame, part: Column | None = None, names: Sequence[str] = ()
) -> tuple[DataFrame, Callable[[], Counts]]:
    """Count decoded images as a side effect of the first use of the frame.

    Args:
        frame: As for ``count_images``.
        part: As for ``count_images``.
        names: All values that ``part`` can have.

    Returns:
        The frame to use, once and completely, and a function that returns the counts
        afterwards.
    """
    observation = Observation()
    good = F.col(ERROR).isNull()
    by_part = [] if part is None else [F.count_if(good & (part == name)) for name in names]
    observed = frame.observe(
        observation,
        F.count("*").alias(_IMAGES),
        F.count(ERROR).alias(_BAD),
        *(count.alias(name) for count, name in zip(by_part, names, strict=False)),
    )

    def read_counts() -> Counts:
        values = observation.get
        parts = {} if part is None else {name: values[name] for name in names}
        return Counts(values[_IMAGES], values[_BAD], parts)

    return observed, read_counts


def quarantine_images(
    frame: DataFrame,
    *,
    max_bad_fraction: float = 0.01,
    counts: Counts | None = None,
    others: Sequence[QuarantinedImage] = (),
) -> QuarantineResult:
    """Separate the images that could not be decoded from the good ones.

    Args:
        frame: Frame from ``to_pixels``, persisted or read from a store. It is used twice
            here and again with the result; otherwise each use would decode all images.
        max_bad_fraction: Largest allowed fraction of images that could not be decoded, in
            [0, 1].
        counts: Counts of the frame, if known; else they are counted.
        others: Images that are in the quarantine for another reason, and not in the frame.

    Returns:
        The good images, and the quarantine, which is collected in the driver.

    Raises:
        ConfigError: ``max_bad_fraction`` is not in [0, 1].
        ImagesError: More images could not be decoded than allowed, or none could.
    """
    DataConfig(max_bad_fraction=max_bad_fraction)  # checks the fraction
    if counts is None:
        counts = count_images(frame)
    images, bad = counts.images + len(others), counts.bad + len(others)
    if images == 0:
        raise ImagesError("found no images, wanted at least one. Check data.images")
    quarantine: list[QuarantinedImage] = []
    if bad:
        bad_rows = frame.where(F.col(ERROR).isNotNull()).select(PATH, ID, ERROR).orderBy(PATH)
        # Not all rows before the check: they may be many.
        enough = bad < images and bad <= max_bad_fraction * images
        rows = bad_rows.collect() if enough else bad_rows.take(_EXAMPLES + 1)
        quarantine = [*map(_quarantined, rows), *others]
        quarantine.sort(key=lambda image: image.path)
        if not enough:
            raise _too_many(images, bad, quarantine, max_bad_fraction)
        logger.warning("%d of %d images quarantined: %s", bad, images, _format_examples(quarantine))
    good = frame.where(F.col(ERROR).isNull()).select(PATH, ID, LABEL, PIXELS)
    return QuarantineResult(good, quarantine)


def reason_counts(quarantine: Sequence[QuarantinedImage]) -> dict[str, int]:
    """Return the number of images by the code of their reason, in the order of ``Reason``."""
    counts = Counter(image.reason for image in quarantine)
    return {reason.value: counts[reason] for reason in Reason if counts[reason]}


def describe_reasons(quarantine: Sequence[QuarantinedImage]) -> str:
    """Return the number of images by reason in a line, such as ``1 empty, 2 not_png``."""
    return ", ".join(f"{count} {code}" for code, count in reason_counts(quarantine).items())


def _quarantined(row: Row) -> QuarantinedImage:
    detail = row[ERROR]
    return QuarantinedImage(row[PATH], row[ID], reason_of(detail), detail)


def _too_many(
    images: int, bad: int, examples: Sequence[QuarantinedImage], max_bad_fraction: float
) -> ImagesError:
    if bad == images:
        return ImagesError(
            f"none of the {images} images can be decoded: {_format_examples(examples)}. Give "
            "8-bit or 16-bit PNG files as data.images"
        )
    return ImagesError(
        f"{bad} of {images} images cannot be decoded, more than "
        f"data.max_bad_fraction={max_bad_fraction} allows: {_format_examples(examples)}. Replace "
        "or remove these files, or raise data.max_bad_fraction"
    )


def _format_examples(quarantine: Sequence[QuarantinedImage]) -> str:
    examples = "; ".join(map(str, quarantine[:_EXAMPLES]))
    return examples + (" and more" if len(quarantine) > _EXAMPLES else "")
