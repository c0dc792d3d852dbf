"""Preprocessing: Spark around the decoder, and the quarantine of what cannot be decoded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import (
    BinaryType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from glasses_spark.columns import (
    CONTENT,
    ERROR,
    FEATURES,
    ID,
    LABEL,
    LENGTH,
    MODIFICATION_TIME,
    PATH,
    PIXELS,
)
from glasses_spark.errors import ConfigError, ImagesError
from glasses_spark.preprocessing.batches import (
    SOURCE,
    decoded,
    pixels_decoder,
    settle_in,
    viewed_file,
)

logger = logging.getLogger(__name__)

# What one Arrow batch may hold while a row holds a whole image file: 1,024 faces of
# the Kaggle set are 1.2 GB.
_MANY_RECORDS: Final = 1024
_RECORDS_KEY: Final = "spark.sql.execution.arrow.maxRecordsPerBatch"

# What the tasks can tell of files that they open.
_TOLD: Final = {
    LENGTH: StructField(LENGTH, LongType()),
    MODIFICATION_TIME: StructField(MODIFICATION_TIME, TimestampType()),
}

_EXAMPLES: Final = 3
_WHITE: Final = 255.0


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
class SetAside:
    """Images that were decoded, and those that could not be.

    Attributes:
        good: ``path``, ``id``, ``label`` and ``pixels``, none of them null.
        quarantine: The others, ordered by path.
    """

    good: DataFrame
    quarantine: list[QuarantinedImage]


def to_pixels(frame: DataFrame, *, height: int = 128, width: int = 128) -> DataFrame:
    """Decode each image to grey and resize it.

    An image that cannot be decoded stays, with an error in place of pixels. The
    content does not go on: from here a face takes ``height * width`` bytes.

    Args:
        frame: ``path``, ``id``, ``label`` and ``content`` (a whole PNG file); where there
            is no ``content``, the task opens the file at ``path``, on a disk that it has.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        ``path``, ``id`` (int), ``label`` (double), ``pixels`` (binary, ``height * width``
        bytes, uint8 grey row by row; null where the image cannot be decoded) and
        ``error`` (string, the reason; null where it can).
    """
    return decode_contents(frame, [PATH, ID, LABEL], height=height, width=width)


def decode_contents(frame: DataFrame, kept: Sequence[str], *, height: int, width: int) -> DataFrame:
    """Put pixels, or an error, in place of the content of each image.

    Args:
        frame: The columns to keep, and ``content`` or, to be opened, ``path``. The
            ``length`` and ``modificationTime`` of files that are to be opened may be
            missing: they are told as they are then.
        kept: Names of the columns to keep, in the order of the result.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        The kept columns, ``pixels`` and ``error``, as ``to_pixels`` has them.
    """
    _check_size(height, width)
    opened = CONTENT not in frame.columns
    if not opened:
        _warn_of_large_batches(frame)
    told = [name for name in _TOLD if opened and name in kept and name not in frame.columns]
    there = [name for name in kept if name not in told]
    rows = frame.select(*there, F.col(PATH if opened else CONTENT).alias(SOURCE))
    schema = StructType(
        [
            *rows.schema.fields[:-1],
            *(_TOLD[name] for name in told),
            StructField(PIXELS, BinaryType()),
            StructField(ERROR, StringType()),
        ]
    )
    decode = pixels_decoder(height, width, opened=opened, told=told)
    return rows.mapInArrow(decode, schema).select(*kept, PIXELS, ERROR)


def to_features(frame: DataFrame, *, height: int = 128, width: int = 128) -> DataFrame:
    """Decode each image into a Spark ML vector, for other estimators of Spark ML.

    A vector takes ``8 * height * width`` bytes, 131 KB at the default size, where the
    pixels of ``to_pixels`` take 16 KB: our own training does without.

    Args:
        frame: ``path``, ``modificationTime``, ``length``, ``content``, ``id``, ``label``.
        height: Rows of the image, at least 1.
        width: Columns of the image, at least 1.

    Returns:
        The same columns and ``features``: a DenseVector of ``height * width`` doubles in
        [0, 1], row by row; null where the image cannot be decoded (see ``to_pixels``
        for the reason).
    """
    _check_size(height, width)
    _warn_of_large_batches(frame)
    # A column UDF, not mapInArrow: only the content goes to Python, and comes not back.
    return frame.select(
        PATH,
        MODIFICATION_TIME,
        LENGTH,
        CONTENT,
        ID,
        LABEL,
        _vector(_scaled_content(height, width)(CONTENT)).alias(FEATURES),
    )


def pixels_to_features(frame: DataFrame) -> DataFrame:
    """Add the Spark ML vector made of the pixels.

    Args:
        frame: Any frame with the column ``pixels`` (binary).

    Returns:
        The same columns and ``features``, a DenseVector of as many doubles in [0, 1]
        as ``pixels`` has bytes; null where ``pixels`` is null.
    """
    return frame.withColumn(FEATURES, _vector(_scaled_pixels()(PIXELS)))


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


def set_aside(
    frame: DataFrame, *, max_bad_fraction: float = 0.01, counts: Counts | None = None
) -> SetAside:
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
    return SetAside(good, quarantine)


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


def _check_size(height: int, width: int) -> None:
    for key, size in (("image.height", height), ("image.width", width)):
        if size < 1:
            raise ConfigError(f"{key} is {size}: give a number of pixels from 1 up")


def _warn_of_large_batches(frame: DataFrame) -> None:
    """Say so when a session that is not ours would gather gigabytes in one batch."""
    records = int(frame.sparkSession.conf.get(_RECORDS_KEY, "0") or 0)
    if not 0 < records <= _MANY_RECORDS:
        logger.warning(
            "%s is %d: a Python worker may hold so many image files at once. Set it to 64",
            _RECORDS_KEY,
            records,
        )


def _scaled_content(height: int, width: int) -> Callable[[str], Column]:
    def scaled(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        settle_in()
        for contents in batches:
            pixels, _ = decoded(pa.array(contents, pa.binary()), height, width, viewed_file)
            yield _scaled_series(pixels)

    return _array_udf(scaled)


def _scaled_pixels() -> Callable[[str], Column]:
    def scaled(pixels: pd.Series) -> pd.Series:
        return _scaled_series(list(pixels))

    return _array_udf(scaled)


def _array_udf(function: Any) -> Callable[[str], Column]:
    # PySpark's types know no UDF of Iterator[Series] that comes without a decorator.
    make_udf: Any = pandas_udf
    udf: Callable[[str], Column] = make_udf(function, "array<double>")
    return udf


def _scaled_series(pixels: list[bytes | None]) -> pd.Series:
    return pd.Series(
        [None if row is None else np.frombuffer(row, np.uint8) / _WHITE for row in pixels],
        dtype=object,
    )


def _vector(values: Column) -> Column:
    # array_to_vector fails on a null.
    return F.when(values.isNotNull(), array_to_vector(values))
