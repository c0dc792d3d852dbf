"""Match of the ids in the file names with the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from glasses_spark.loading.account import MAX_EXAMPLES, Account
from glasses_spark.loading.listing import UNNUMBERED, Listing, base_name


class LabelledFiles:
    """Image files with the labels of their ids.

    Args:
        ids: Id of each file of a listing, ``UNNUMBERED`` where it has none: ``(files,)``.
        label_of: Label by id: 0.0, 1.0, or None where it is undefined.

    Attributes:
        defined: Whether each file has a defined label: ``(files,)``.
    """

    def __init__(self, ids: NDArray[np.int64], label_of: Mapping[int, float | None]) -> None:
        self._ids, self._labels = ids, label_of
        self.defined = np.isin(ids, [i for i, label in label_of.items() if label is not None])
        self._undefined = np.isin(ids, [i for i, label in label_of.items() if label is None])
        self._unlabelled = ~self.defined & ~self._undefined

    @cached_property
    def label_of(self) -> dict[int, float]:
        """The label by id of the images that have a defined one."""
        ids = self._ids[self.defined].tolist()
        return {i: label for i in ids if (label := self._labels[i]) is not None}

    @property
    def sizes(self) -> Counter[float]:
        """The number of images by label."""
        return Counter(self.label_of.values())

    def account(self, listing: Listing, limit: int | None, *, unlisted: int = 0) -> Account:
        """Count the used files, at most ``limit``, and those left out.

        Args:
            listing: The listing that the ids are from.
            limit: Largest number of images to use; None for all.
            unlisted: Number of files that Spark does not list.
        """
        labelled = int(self.defined.sum())
        used = labelled if limit is None else min(limit, labelled)
        label_ids = np.fromiter(self._labels, np.int64, len(self._labels))
        without_image = label_ids[~np.isin(label_ids, self._ids)]
        return Account(
            images=len(listing) + unlisted,
            labels=len(self._labels),
            used=used,
            undefined_label=int(self._undefined.sum()),
            unlabelled=int(self._unlabelled.sum()),
            unnumbered=int((self._ids == UNNUMBERED).sum()),
            beyond_limit=labelled - used,
            unlisted=unlisted,
            label_without_image=len(without_image),
            undefined_label_names=_first_names(listing, self._undefined),
            unlabelled_names=_first_names(listing, self._unlabelled),
            label_without_image_ids=tuple(nsmallest(MAX_EXAMPLES, without_image.tolist())),
        )


def _first_names(listing: Listing, mask: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the first base names in alphabetical order, at most ``MAX_EXAMPLES``."""
    return tuple(nsmallest(MAX_EXAMPLES, (base_name(name) for name in listing.select(mask))))
