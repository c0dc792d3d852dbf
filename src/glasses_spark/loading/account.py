"""Counts of the images and labels that a dataset uses and leaves out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from glasses_spark.printable import printable

logger = logging.getLogger(__name__)

MAX_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Account:
    """Counts of images and labels.

    Each image is counted in exactly one of ``used``, ``undefined_label``, ``unlabelled``,
    ``beyond_limit`` and ``unlisted``.

    Attributes:
        images: Image files in the driver's listing.
        labels: Rows of the labels file, undefined labels included.
        used: Images with a defined label that are used.
        undefined_label: Images whose label is empty or ``nan``.
        unlabelled: Images without a row in the labels file.
        unnumbered: Unlabelled images without a number in their name, or with a number
            above ``MAX_ID``.
        beyond_limit: Images left out because of ``limit``.
        label_without_image: Rows of the labels file without an image.
        undefined_label_names: Base names of up to ``MAX_EXAMPLES`` such images.
        unlabelled_names: Base names of up to ``MAX_EXAMPLES`` such images.
        unlisted: Images that Spark does not list; they are quarantined.
        label_without_image_ids: Ids of up to ``MAX_EXAMPLES`` such rows.
    """

    images: int
    labels: int
    used: int
    undefined_label: int
    unlabelled: int
    unnumbered: int
    beyond_limit: int
    label_without_image: int
    undefined_label_names: tuple[str, ...] = ()
    unlabelled_names: tuple[str, ...] = ()
    label_without_image_ids: tuple[int, ...] = ()
    unlisted: int = 0


def log_account(account: Account) -> None:
    """Log the counts; images without a row in the labels file and the reverse are warnings."""
    logger.info(
        "%d images, %d labels: %d images used", account.images, account.labels, account.used
    )
    if account.undefined_label:
        logger.info(
            "%d images left out because their label is undefined: %s",
            account.undefined_label,
            _format_examples(account.undefined_label_names, account.undefined_label),
        )
    if account.unlabelled:
        logger.warning(
            "%d images left out because the labels file has no row for them (%d have no usable "
            "number in their name): %s",
            account.unlabelled,
            account.unnumbered,
            _format_examples(account.unlabelled_names, account.unlabelled),
        )
    if account.label_without_image:
        logger.warning(
            "%d labels have no image: index %s",
            account.label_without_image,
            _format_examples(account.label_without_image_ids, account.label_without_image),
        )
    if account.beyond_limit:
        logger.info("%d images left out because of data.limit", account.beyond_limit)


def _format_examples(examples: tuple[object, ...], count: int) -> str:
    more = ", ..." if count > len(examples) else ""
    return ", ".join(printable(str(example)) for example in examples) + more
