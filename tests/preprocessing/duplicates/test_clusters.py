"""Tests for glasses_spark.preprocessing.duplicates.clusters; tests of duplicates compare both ways."""

from __future__ import annotations

import numpy as np

from glasses_spark.preprocessing.duplicates.clusters import cluster_hashes
from glasses_spark.preprocessing.duplicates.perceptual_hash import DISTANCE


def test_a_cluster_is_what_a_chain_of_near_hashes_connects() -> None:
    # Steps of DISTANCE bits: neighbours are near, others are not.
    words = np.zeros((4, 4), np.int64)
    for step in range(3):
        words[step + 1] = words[step]
        words[step + 1, step] = 2**DISTANCE - 1
    far = np.full((1, 4), -1, np.int64)

    assert cluster_hashes(np.concatenate([words, far, far])[[4, 3, 1, 0, 2, 5]]).tolist() == [
        0,
        1,
        1,
        1,
        1,
        0,
    ]
    assert cluster_hashes(words[[0, 2]]).tolist() == [0, 1]
