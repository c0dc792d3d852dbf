"""Quarantine: images that could not be decoded, each with a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from glasses_spark.columns import (
    ERROR,
    ID,
    LABEL,
    PATH,
    PIXELS,
)
from glasses_spark.errors import ConfigError, ImagesError

logger = logging.getLogger(__name__)

_EXAMPLES: Final = 3


@dataclass(frozen=True)
class QuarantinedImage:
    """One image that cannot be decoded.

    Attributes:
        path: The file, as Spark writes it.
        id: The number in its name.
        reason: What is wrong with it, in a few words.
    """

    path: str
    id: int
    reason: str


@dataclass(frozen=True)
class Counts:
    """How many images there are after decoding.

    Attributes:
        images: All.
        bad: Those that cannot be decoded.
        parts: The good ones by the name of their part, where parts were given.
    """

    images: int
    bad: int
    parts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class QuarantineResult:
    """Images that were decoded, and those that could not be.

    Attributes:
        good: ``path``, ``id``, ``label`` and ``pixels``, none of them null.
        quarantine: The others, ordered by path.
    """

    good: DataFrame
    quarantine: list[QuarantinedImage]


def count_images(frame: DataFrame, part: Column | None = None) -> Counts:
    """Count decoded images.

    Args:
        frame: As ``to_pixels`` returns it.
        part: A name for each row, by which good ones are to be counted.
    """
    by_part = F.lit("all") if part is None else part
    rows = (
        frame.groupBy(by_part.alias("part"))
        .agg(F.count("*").alias("images"), F.count(ERROR).alias("bad"))
        .collect()
    )
    images, bad = (sum(row[name] for row in rows) for name in ("images", "bad"))
    parts = {} if part is None else {row["part"]: row["images"] - row["bad"] for row in rows}
    return Counts(images, bad, parts)


def counted(
    frame: DataFrame, part: Column | None = None, names: Sequence[str] = ()
) -> tuple[DataFrame, Callable[[], Counts]]:
    """Have decoded images counted by whatever uses them first.

    Args:
        frame: As for ``count_images``.
        part: As for ``count_images``.
        names: All that ``part`` can be.

    Returns:
        The frame to be used, once and wholly, and a function that gives the counts after
        that.
    """
    observation = Observation()
    good = F.col(ERROR).isNull()
    by_part = [] if part is None else [F.count_if(good & (part == name)) for name in names]
    observed = frame.observe(
        observation,
        F.count("*").alias("images"),
        F.count(ERROR).alias("bad"),
        *(count.alias(name) for count, name in zip(by_part, names, strict=False)),
    )

    def read() -> Counts:
        found = observation.get
        parts = {} if part is None else {name: found[name] for name in names}
        return Counts(found["images"], found["bad"], parts)

    return observed, read


def quarantine_images(
    frame: DataFrame, *, max_bad_fraction: float = 0.01, counts: Counts | None = None
) -> QuarantineResult:
    """Part the images that were decoded from those that could not be.

    Args:
        frame: As ``to_pixels`` returns it, persisted or read back from a store by the
            caller: it is used twice here and again by whoever uses the result, and
            each use of a frame that is neither decodes every image anew.
        max_bad_fraction: Largest share of images that may be bad, in [0, 1].
        counts: How many there are, where that is known; else they are counted.

    Returns:
        The good rows and the quarantine, which is at most ``max_bad_fraction`` of all
        rows and comes to the driver.

    Raises:
        ConfigError: ``max_bad_fraction`` is not in [0, 1].
        ImagesError: More images are bad, or there is no good one.
    """
    if not 0 <= max_bad_fraction <= 1:
        raise ConfigError(
            f"data.max_bad_fraction is {max_bad_fraction}: give a fraction from 0 to 1"
        )
    if counts is None:
        counts = count_images(frame)
    images, bad = counts.images, counts.bad
    if images == 0:
        raise ImagesError("there are no images: nothing is left to work on. Check data.images")
    quarantine: list[QuarantinedImage] = []
    if bad:
        bad_rows = frame.where(F.col(ERROR).isNotNull()).select(PATH, ID, ERROR).orderBy(PATH)
        _check_bad(images, bad, bad_rows, max_bad_fraction)
        quarantine = [
            QuarantinedImage(path=row[PATH], id=row[ID], reason=row[ERROR])
            for row in bad_rows.collect()
        ]
        logger.warning(
            "%d of %d images put aside: %s",
            bad,
            images,
            _examples([(image.path, image.reason) for image in quarantine]),
        )
    good = frame.where(F.col(ERROR).isNull()).select(PATH, ID, LABEL, PIXELS)
    return QuarantineResult(good, quarantine)


def _check_bad(images: int, bad: int, bad_rows: DataFrame, max_bad_fraction: float) -> None:
    if bad < images and bad <= max_bad_fraction * images:
        return
    examples = _examples([(row[PATH], row[ERROR]) for row in bad_rows.take(_EXAMPLES + 1)])
    if bad == images:
        raise ImagesError(
            f"none of the {images} images can be decoded: {examples}. Give 8 or 16 bit PNG files "
            "as data.images"
        )
    raise ImagesError(
        f"{bad} of {images} images cannot be decoded, more than data.max_bad_fraction = "
        f"{max_bad_fraction} allows: {examples}. Replace or remove these files, or raise "
        "data.max_bad_fraction"
    )


def _examples(bad: list[tuple[str, str]]) -> str:
    few = "; ".join(f"{path} ({reason})" for path, reason in bad[:_EXAMPLES])
    return few + (" and more" if len(bad) > _EXAMPLES else "")
