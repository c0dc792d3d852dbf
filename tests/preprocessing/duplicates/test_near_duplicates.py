"""Tests for glasses_spark.preprocessing.duplicates.near_duplicates."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.preprocessing.duplicates.near_duplicates import (
    NearDuplicates,
    add_clusters,
    find_near_duplicates,
    list_duplicates,
)
from glasses_spark.preprocessing.split import split_column, split_key

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def images(spark: SparkSession) -> DataFrame:
    """Twelve different faces 10, 20 ... 120, and copies with other ids.

    21 is a copy of 20; 5 and 33 are altered copies of 30; 121 to 123 are copies of 120. The
    label of 33 differs from that of 30.
    """
    faces = {10 * number: face(number) for number in range(1, 13)}
    copies = {21: faces[20], 5: lighter(faces[30]), 33: darker(faces[30])}
    copies |= {number: faces[120] for number in (121, 122, 123)}
    rows = [
        (f"file:/f-{number}.png", number, float(number == 33), pixels.tobytes())
        for number, pixels in (faces | copies).items()
    ]
    schema = "path string, id int, label double, pixels binary"
    return spark.createDataFrame(rows, schema).repartition(3).cache()


def face(seed: int) -> Pixels:
    grey: Pixels = cv2.cvtColor(draw_face(seed, 0.0, size=128, seed=0), cv2.COLOR_RGB2GRAY)
    return grey


def lighter(pixels: Pixels) -> Pixels:
    return np.clip(pixels * 1.1, 0, 255).astype(np.uint8)


def darker(pixels: Pixels) -> Pixels:
    return (pixels * 0.9).astype(np.uint8)


def find(images: DataFrame) -> NearDuplicates:
    return find_near_duplicates(images, count=images.count(), height=128, width=128)


@pytest.mark.slow
def test_near_duplicates_are_clustered_by_their_smallest_id(
    images: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "glasses_spark"):
        duplicates = find(images)

    assert "9 images are near-duplicates, in 3 clusters" in caplog.text
    assert "have different labels, for example images 5, 30, 33" in caplog.text
    assert (duplicates.images, duplicates.clusters, duplicates.conflicting) == (9, 3, 1)
    assert duplicates.members is not None
    assert {(row.id, row.cluster, row.conflicting) for row in duplicates.members.collect()} == {
        (20, 20, False),
        (21, 20, False),
        (5, 5, True),
        (30, 5, True),
        (33, 5, True),
        *((number, 120, False) for number in (120, 121, 122, 123)),
    }
    listed = list_duplicates(images, duplicates.members).collect()
    assert [(row.cluster, row.id) for row in listed[:5]] == [
        (5, 5),
        (5, 30),
        (5, 33),
        (20, 20),
        (20, 21),
    ]
    duplicates.unpersist()
    assert listed[2].asDict() == {
        "cluster": 5,
        "id": 33,
        "path": "file:/f-33.png",
        "label": 1.0,
        "conflicting": True,
    }


@pytest.mark.slow
def test_near_duplicates_are_in_one_part_and_other_images_stay_in_theirs(
    images: DataFrame,
) -> None:
    duplicates = find(images)
    clustered = add_clusters(images, duplicates)
    for seed in range(4):
        column = split_column(test=0.4, seed=seed, key=split_key(clustered))
        parts = {row.id: row.part for row in clustered.select("id", column.alias("part")).collect()}
        unclustered = images.select("id", split_column(test=0.4, seed=seed).alias("part"))

        assert len(parts) == 18
        assert len({parts[number] for number in (5, 30, 33)}) == 1
        assert len({parts[number] for number in (20, 21)}) == 1
        by_id = {row.id: row.part for row in unclustered.collect()}
        moved = {number for number in parts if parts[number] != by_id[number]}
        assert moved <= {30, 33, 21, 121, 122, 123}
    duplicates.unpersist()


@pytest.mark.slow
def test_without_near_duplicates_each_image_is_its_own_cluster(images: DataFrame) -> None:
    duplicates = find(images.where("id % 10 = 0"))

    assert duplicates == NearDuplicates(None, 0, 0, 0)
    clustered = add_clusters(images, duplicates)
    assert clustered.columns == [*images.columns, "cluster"]
    assert clustered.where("cluster <> id").isEmpty()


@pytest.mark.slow
def test_a_cluster_of_more_than_a_tenth_of_all_images_is_dropped(
    spark: SparkSession, images: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    blank = bytes(128 * 128)
    black = spark.createDataFrame([("", 1000 + n, 0.0, blank) for n in range(11)], images.schema)
    with caplog.at_level(logging.WARNING, "glasses_spark"):
        duplicates = find(images.union(black))

    duplicates.unpersist()
    assert (duplicates.images, duplicates.clusters) == (9, 3)
    assert "1 clusters of near-duplicates are not kept in one set, the largest has 11 images" in (
        caplog.text
    )


@pytest.mark.slow
def test_a_chain_of_near_images_is_one_cluster(spark: SparkSession) -> None:
    # Each has one more bright spot: neighbours are near, the ends are not.
    chain = [face(1)]
    for step in range(7):
        changed = chain[-1].copy()
        changed[10 + 12 * step : 24 + 12 * step, 20:60] = 255
        chain.append(changed)
    rows = [("", 7 - step, 1.0, pixels.tobytes()) for step, pixels in enumerate(chain)]
    schema = "path string, id int, label double, pixels binary"
    duplicates = find(spark.createDataFrame(rows, schema).repartition(2))

    assert duplicates.members is not None
    clusters = {row.id: row.cluster for row in duplicates.members.collect()}
    assert clusters == dict.fromkeys(range(8), 0)
    duplicates.unpersist()


@pytest.mark.slow
def test_nothing_stays_persisted(spark: SparkSession, images: DataFrame) -> None:
    def persisted() -> set[int]:
        return set(spark.sparkContext._jsc.getPersistentRDDs())

    images.count()
    before = persisted()

    find(images).unpersist()
    assert persisted() == before

    find(images.where("id % 10 = 0"))  # without duplicates
    assert persisted() == before
