"""Account: how many files went where."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

logger = logging.getLogger(__name__)

MAX_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Account:
    """How many rows went where; ``images`` is the sum of the other counts of images.

    Attributes:
        images: Image files found.
        labels: Rows of the labels file, undefined ones included.
        used: Images that go on.
        undefined_label: Images whose label is empty or ``nan``.
        unlabelled: Images that no row of the labels file is about.
        unnumbered: Those of the unlabelled that have no number in their name, or
            one above an int.
        beyond_limit: Images left out because of ``limit``.
        label_without_image: Rows of the labels file whose image is not there.
        undefined_label_names: A few base names of such images.
        unlabelled_names: A few base names of such images.
        label_without_image_ids: A few numbers of such rows.
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


def log_account(account: Account) -> None:
    logger.info(
        "%d images, %d labels: %d images used", account.images, account.labels, account.used
    )
    if account.undefined_label:
        logger.info(
            "%d images left out, their label is undefined: %s",
            account.undefined_label,
            _few(account.undefined_label_names, account.undefined_label),
        )
    if account.unlabelled:
        logger.warning(
            "%d images left out, no row of the labels file is about them (%d have no usable "
            "number in their name): %s",
            account.unlabelled,
            account.unnumbered,
            _few(account.unlabelled_names, account.unlabelled),
        )
    if account.label_without_image:
        logger.warning(
            "%d labels have no image, such as index %s",
            account.label_without_image,
            _few(account.label_without_image_ids, account.label_without_image),
        )
    if account.beyond_limit:
        logger.info("%d images left out by data.limit", account.beyond_limit)


def _few(examples: tuple[object, ...], count: int) -> str:
    more = ", ..." if count > len(examples) else ""
    return ", ".join(str(example) for example in examples) + more
