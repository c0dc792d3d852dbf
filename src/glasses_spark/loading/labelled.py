"""Labelled files: ids in the file names matched with the labels."""

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
    """Files and labels, held against each other by the numbers of the files."""

    def __init__(self, numbers: NDArray[np.int64], label_of: Mapping[int, float | None]) -> None:
        self._numbers, self._labels = numbers, label_of
        self.defined = np.isin(numbers, [n for n, label in label_of.items() if label is not None])
        undefined = [number for number, label in label_of.items() if label is None]
        self._undefined = np.isin(numbers, undefined)
        self._unlabelled = ~self.defined & ~self._undefined

    @cached_property
    def label_of(self) -> dict[int, float]:
        """The label of each image that has a defined one."""
        found = self._numbers[self.defined].tolist()
        return {number: label for number in found if (label := self._labels[number]) is not None}

    @property
    def sizes(self) -> Counter[float]:
        """How many images have each label."""
        return Counter(self.label_of.values())

    def account(self, listed: Listing, limit: int | None) -> Account:
        """Tell what goes where, at most ``limit`` images among what is used."""
        labelled = int(self.defined.sum())
        used = labelled if limit is None else min(limit, labelled)
        numbers = np.fromiter(self._labels, np.int64, len(self._labels))
        without_image = numbers[~np.isin(numbers, self._numbers)]
        return Account(
            images=len(listed),
            labels=len(self._labels),
            used=used,
            undefined_label=int(self._undefined.sum()),
            unlabelled=int(self._unlabelled.sum()),
            unnumbered=int((self._numbers == UNNUMBERED).sum()),
            beyond_limit=labelled - used,
            label_without_image=len(without_image),
            undefined_label_names=_names(listed, self._undefined),
            unlabelled_names=_names(listed, self._unlabelled),
            label_without_image_ids=tuple(nsmallest(MAX_EXAMPLES, without_image.tolist())),
        )


def _names(listed: Listing, mask: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(nsmallest(MAX_EXAMPLES, (base_name(name) for name in listed.where(mask))))
