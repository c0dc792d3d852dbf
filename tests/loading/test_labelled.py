"""Tests for glasses_spark.loading.labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from glasses_spark.loading.images import open_images
from glasses_spark.loading.labelled import LabelledFiles
from glasses_spark.loading.listing import UNNUMBERED, Listing
from tests.faces import write_faces


def test_only_files_with_a_defined_label_are_labelled() -> None:
    ids = np.array([1, 2, 3, 4, UNNUMBERED, 5])

    files = LabelledFiles(ids, {1: 1.0, 2: 0.0, 3: None, 5: 1.0, 9: 0.0})

    assert files.defined.tolist() == [True, True, False, False, False, True]
    assert files.label_of == {1: 1.0, 2: 0.0, 5: 1.0}
    assert files.sizes == {1.0: 2, 0.0: 1}


def test_the_account_counts_each_file_once(spark: SparkSession, tmp_path: Path) -> None:
    names = ["1.png", "2.png", "3.png", "4.png", "x.png"]
    listing = Listing(open_images(spark, str(write_faces(tmp_path, names))))
    files = LabelledFiles(listing.ids(), {1: 1.0, 2: 0.0, 3: None, 8: 1.0, 9: None})

    account = files.account(listing, limit=1)

    assert (account.images, account.labels) == (5, 5)
    assert (account.used, account.beyond_limit) == (1, 1)
    assert (account.undefined_label, account.undefined_label_names) == (1, ("3.png",))
    assert (account.unlabelled, account.unlabelled_names) == (2, ("4.png", "x.png"))
    assert account.unnumbered == 1
    assert account.label_without_image_ids == (8, 9)
