"""Pixels: decode or load the images, quarantine bad ones and find near-duplicates."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession

from glasses_spark.columns import ID, PARTS, TEST, TRAIN, VALIDATION
from glasses_spark.config.config import Config
from glasses_spark.config.data import FAIL, IGNORE
from glasses_spark.errors import DataError, ImagesError
from glasses_spark.loading.dataset import Dataset
from glasses_spark.loading.unlisted import DESCRIPTIONS, UnlistedFile
from glasses_spark.preprocessing.duplicates.near_duplicates import (
    NearDuplicates,
    add_clusters,
    find_near_duplicates,
)
from glasses_spark.preprocessing.pixels import to_pixels
from glasses_spark.preprocessing.quarantine import (
    Counts,
    QuarantinedImage,
    QuarantineResult,
    count_images,
    describe_reasons,
    quarantine_images,
)
from glasses_spark.preprocessing.split import split_column, split_key
from glasses_spark.preprocessing.store.lease import Lease
from glasses_spark.preprocessing.store.pixel_store import PixelStore, StoredPixels, resolve_root
from glasses_spark.printable import printable
from glasses_spark.reasons import Reason
from glasses_spark.runtime.persist import persist
from glasses_spark.runtime.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedPixels:
    """Decoded images of a run.

    Attributes:
        frame: All images, from ``to_pixels`` or the pixel store.
        images: The good images and the quarantine.
        counts: Counts of the images.
        decoded: Number of images decoded in this run.
        reused: Number of images read from the pixel store.
        duplicates: Near-duplicates; None if they were not searched for.
        lease: Keeps the pixels in the store; None without a store.
    """

    frame: DataFrame
    images: QuarantineResult
    counts: Counts
    decoded: int
    reused: int
    duplicates: NearDuplicates | None = None
    lease: Lease | None = None

    def release(self) -> None:
        """Unpersist the images, and let others remove them from the store."""
        self.frame.unpersist()
        if self.lease is not None:
            self.lease.release()

    def unpersist(self) -> None:
        """Release the images, and unpersist the near-duplicates."""
        self.release()
        if self.duplicates is not None:
            self.duplicates.unpersist()


def decode_images(dataset: Dataset, config: Config, progress: Progress) -> DecodedPixels:
    """Decode the images or load their pixels from the store, and quarantine bad ones.

    Args:
        dataset: Listed images and labels.
        config: Configuration of the run.
        progress: Reports the stage.

    Returns:
        The pixels; without a store they are persisted.

    Raises:
        ImagesError: More images than allowed cannot be decoded. Nothing stays persisted.
    """
    data = config.data
    stored: StoredPixels | None = None
    try:
        with progress.stage(
            f"Decoding {dataset.account.used:,} images", dataset.labels.sparkSession
        ):
            stored = _store_pixels(dataset, config)
            counts = stored.counts or count_images(stored.frame, part_column(config))
            images = quarantine_images(
                stored.frame,
                max_bad_fraction=data.allowed_bad_fraction,
                counts=counts,
                others=[*unlisted_images(dataset.unlisted), *_lost_images(dataset, stored, counts)],
            )
            return DecodedPixels(
                stored.frame, images, counts, stored.decoded, stored.reused, lease=stored.lease
            )
    except BaseException as error:
        if stored is not None:
            stored.release()
        if isinstance(error, ImagesError) and data.on_bad == FAIL:
            raise ImagesError(f'data.on_bad is "fail": {error}') from error
        raise


def cluster_images(
    dataset: Dataset, pixels: DecodedPixels, config: Config, progress: Progress
) -> DecodedPixels:
    """Find near-duplicates, and add the column ``cluster`` to the good images.

    Args:
        dataset: Listed images and labels.
        pixels: Decoded images; unpersisted on failure.
        config: Configuration of the run; ``split.near_duplicates = "ignore"`` skips the
            search.
        progress: Reports the stage.
    """
    if config.split.near_duplicates == IGNORE:
        return pixels
    good, image = pixels.images.good, config.image
    try:
        with progress.stage("Looking for near-duplicates", good.sparkSession):
            duplicates = find_near_duplicates(
                good,
                count=pixels.counts.images - pixels.counts.bad,
                height=image.height,
                width=image.width,
            )
    except BaseException:
        pixels.release()
        raise
    images = replace(pixels.images, good=add_clusters(good, duplicates))
    return replace(pixels, images=images, duplicates=duplicates)


def open_store(spark: SparkSession, config: Config) -> PixelStore | None:
    """Open the pixel store of a configuration.

    Returns:
        The store; None without ``store.dir``, or, with a warning, where it is a path on
        each machine's own disk.
    """
    folder, image = config.store.dir, config.image
    if not folder:
        return None
    root = resolve_root(spark, folder)
    if root is None:
        logger.warning(
            "store.dir is %s, a path on each machine's own disk: no pixels are stored. Use a "
            "folder that all machines reach, such as hdfs:///pixels, or file:/ and a shared disk",
            folder,
        )
        return None
    return PixelStore(
        spark,
        root,
        location=config.data.images,
        glob=config.data.glob,
        height=image.height,
        width=image.width,
    )


def part_column(config: Config, pixels: DataFrame | None = None) -> Column:
    """Return the part of each row: ``train``, ``validation`` or ``test``.

    Args:
        config: Fractions and seed of the split.
        pixels: Rows to split by ``cluster`` if they have that column; None splits by
            ``id``.
    """
    split = config.split
    return split_column(
        test=split.test,
        validation=split.validation,
        seed=config.run.seed,
        key=ID if pixels is None else split_key(pixels),
    )


def require_all_parts(pixels: DecodedPixels, config: Config) -> None:
    """Check that no set of the split is empty.

    Raises:
        DataError: A set has no images.
    """
    split, counts = config.split, _count_parts(pixels, config)
    # Each set with the key of its fraction; the training set is what test leaves.
    fractions = {TRAIN: "test", TEST: "test"}
    if split.validation:
        fractions[VALIDATION] = "validation"
    for part, fraction in fractions.items():
        if not counts[part]:
            name = "training" if part == TRAIN else part
            raise DataError(
                f"the {name} set is empty: found {counts.total()} images, "
                f"wanted at least one in each set. Use more images, or another "
                f"split.{fraction} than {getattr(split, fraction)} or run.seed than "
                f"{config.run.seed}"
            )


def data_counts(
    dataset: Dataset, pixels: DecodedPixels, config: Config, *, by_part: bool = True
) -> dict[str, int]:
    """Return the account of every file, as in the key ``data`` of ``metrics.json``.

    Args:
        dataset: Listed images and labels.
        pixels: Their pixels.
        config: Configuration of the run.
        by_part: Whether to return the number of images in each set.

    Raises:
        DataError: A file is in no part of the account, or in two.
    """
    account, quarantined = dataset.account, len(pixels.images.quarantine)
    parts = _count_parts(pixels, config)
    left_out = {
        "undefined_label": account.undefined_label,
        "unlabelled": account.unlabelled,
        "quarantined": quarantined,
        "beyond_limit": account.beyond_limit,
    }
    used = {part: parts[part] for part in PARTS}
    total = sum(used.values()) + sum(left_out.values())
    if total != account.images:
        raise DataError(
            f"the account has {total} files ({_list_counts(used | left_out)}), the listing of "
            f"{printable(dataset.location)} {account.images}. The files or the pixel store "
            "changed during the run: run it again"
        )
    logger.info("Account of %d files: %s", total, _list_counts(used | left_out))
    if quarantined:
        logger.info("Quarantine: %s", describe_reasons(pixels.images.quarantine))
    return {
        "images": account.images,
        "used": sum(used.values()),
        **(used if by_part else {}),
        **left_out,
        "label_without_image": account.label_without_image,
    }


def check_scored(data: Mapping[str, int], rows: Mapping[str, int]) -> None:
    """Log an error for each set of which not every image is scored; the results are kept.

    Args:
        data: The account, from ``data_counts``.
        rows: Number of scored images by set.
    """
    for part, count in rows.items():
        if count != data[part]:
            logger.error("%d of %d images of the %s set are scored", count, data[part], part)


def unlisted_images(unlisted: Sequence[UnlistedFile]) -> list[QuarantinedImage]:
    """Return the files that Spark does not list as quarantined images."""
    return [
        QuarantinedImage(file.path, file.id, file.reason, DESCRIPTIONS[file.reason])
        for file in unlisted
    ]


def _lost_images(dataset: Dataset, stored: StoredPixels, counts: Counts) -> list[QuarantinedImage]:
    """Return the listed images of which Spark has no row, as with ``ignoreMissingFiles``."""
    if counts.images >= dataset.account.used:
        return []
    lost = dataset.labels.join(stored.frame, ID, "left_anti").select(ID).collect()
    paths = dataset.names_of([row[ID] for row in lost])
    detail = "Spark lists the file, but has not read it; it may be deleted since"
    return [QuarantinedImage(paths[row[ID]], row[ID], Reason.NOT_READ, detail) for row in lost]


def _list_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


def _store_pixels(dataset: Dataset, config: Config) -> StoredPixels:
    store, image = open_store(dataset.labels.sparkSession, config), config.image
    if store is not None:
        return store.update(dataset, part_column(config))
    pixels = to_pixels(dataset.undecoded, height=image.height, width=image.width)
    # Persisted because each later stage reads the pixels, 16 KB an image.
    frame = persist(pixels, StorageLevel.MEMORY_AND_DISK)
    return StoredPixels(frame, decoded=dataset.account.used, reused=0)


def _count_parts(pixels: DecodedPixels, config: Config) -> Counter[str]:
    counts = Counter(pixels.counts.parts)
    # Counted by id; an image with a cluster may have moved to the part of its cluster.
    if pixels.duplicates is not None and pixels.duplicates.members is not None:
        members = pixels.duplicates.members
        by_id, by_cluster = part_column(config), part_column(config, members)
        moved = members.where(by_id != by_cluster).select(by_id, by_cluster)
        for old_part, new_part in moved.collect():
            counts[old_part] -= 1
            counts[new_part] += 1
    return counts
