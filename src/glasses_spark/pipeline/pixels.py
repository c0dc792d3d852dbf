"""Pixels: decoded or loaded from the store, quarantined, and grouped by near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from glasses_spark.loading.account import Account
from glasses_spark.preprocessing.duplicates.near_duplicates import (
    NearDuplicates,
)
from glasses_spark.preprocessing.quarantine import (
    Counts,
    QuarantinedImage,
    QuarantineResult,
)


@dataclass(frozen=True)
class DecodedPixels:
    """Images decoded, good ones and others; the frame is to be unpersisted in the end."""

    frame: DataFrame
    screened: QuarantineResult
    counts: Counts
    decoded: int
    reused: int
    duplicates: NearDuplicates | None = None

    def unpersist(self) -> None:
        self.frame.unpersist()
        if self.duplicates is not None:
            self.duplicates.unpersist()


def account_of_files(account: Account, quarantine: list[QuarantinedImage]) -> dict[str, int]:
    return {
        "images": account.images,
        "used": account.used - len(quarantine),
        "undefined_label": account.undefined_label,
        "unlabelled": account.unlabelled,
        "label_without_image": account.label_without_image,
        "quarantined": len(quarantine),
        "beyond_limit": account.beyond_limit,
    }
