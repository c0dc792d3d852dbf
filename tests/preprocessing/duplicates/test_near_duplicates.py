"""Tests for glasses_spark.preprocessing.duplicates.near_duplicates, on a real Spark."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.preprocessing.duplicates.near_duplicates import (
    MOST_IN_DRIVER,
    NearDuplicates,
    find_near_duplicates,
    list_duplicates,
    add_clusters,
)
from glasses_spark.preprocessing.split import split_column, split_key

Pixels = NDArray[np.uint8]

# Rows by which the comparison is done in the driver, and in Spark.
PLACES = [
    pytest.param(1, id="driver"),
    pytest.param(MOST_IN_DRIVER + 1, id="spark", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def images(spark: SparkSession) -> DataFrame:
    """Twelve faces 10, 20 ... 120; 21 is 20, 5 and 33 nearly 30, and 121 to 123 are 120.

    The label of 33 is not that of 30.
    """
    faces = {10 * number: face(number) for number in range(1, 13)}
    copies = {21: faces[20], 5: lighter(faces[30]), 33: darker(faces[30])}
    copies |= {120 + more: faces[120] for more in (1, 2, 3)}
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


def find(images: DataFrame, rows: int) -> NearDuplicates:
    return find_near_duplicates(images, rows=rows, height=128, width=128)


@pytest.mark.parametrize("rows", PLACES)
def test_near_duplicates_are_clustered_by_their_smallest_id(
    images: DataFrame, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "glasses_spark"):
        found = find(images, rows)

    assert "9 images are near-duplicates, in 3 clusters" in caplog.text
    assert "labels that differ, such as those of the images 5, 30, 33" in caplog.text

    assert (found.images, found.clusters, found.conflicting) == (9, 3, 1)
    assert found.members is not None
    assert {(row.id, row.cluster, row.conflicting) for row in found.members.collect()} == {
        (20, 20, False),
        (21, 20, False),
        (5, 5, True),
        (30, 5, True),
        (33, 5, True),
        *((number, 120, False) for number in (120, 121, 122, 123)),
    }
    listed = list_duplicates(images, found.members).collect()
    assert [(row.cluster, row.id) for row in listed[:5]] == [
        (5, 5),
        (5, 30),
        (5, 33),
        (20, 20),
        (20, 21),
    ]
    found.unpersist()
    assert listed[2].asDict() == {
        "cluster": 5,
        "id": 33,
        "path": "file:/f-33.png",
        "label": 1.0,
        "conflicting": True,
    }


def test_near_duplicates_are_in_one_part_and_others_where_their_id_puts_them(
    images: DataFrame,
) -> None:
    clustered = add_clusters(images, find(images, 1))
    for seed in range(4):
        column = split_column(test=0.4, seed=seed, key=split_key(clustered))
        parts = {row.id: row.part for row in clustered.select("id", column.alias("part")).collect()}
        alone = images.select("id", split_column(test=0.4, seed=seed).alias("part")).collect()

        assert len(parts) == 18
        assert len({parts[number] for number in (5, 30, 33)}) == 1
        assert len({parts[number] for number in (20, 21)}) == 1
        by_id = {row.id: row.part for row in alone}
        moved = {number for number in parts if parts[number] != by_id[number]}
        assert moved <= {30, 33, 21, 121, 122, 123}


@pytest.mark.parametrize("rows", PLACES)
def test_without_near_duplicates_each_image_is_its_own_cluster(
    images: DataFrame, rows: int
) -> None:
    found = find(images.where("id % 10 = 0"), rows)

    assert found == NearDuplicates(None, 0, 0, 0)
    clustered = add_clusters(images, found)
    assert clustered.columns == [*images.columns, "cluster"]
    assert clustered.where("cluster <> id").isEmpty()


@pytest.mark.parametrize("rows", PLACES)
def test_more_than_a_tenth_of_all_images_are_not_one_cluster(
    spark: SparkSession, images: DataFrame, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    blank = bytes(128 * 128)
    black = spark.createDataFrame([("", 1000 + n, 0.0, blank) for n in range(11)], images.schema)
    with caplog.at_level(logging.WARNING, "glasses_spark"):
        found = find(images.union(black), rows)

    found.unpersist()
    assert (found.images, found.clusters) == (9, 3)
    assert "1 clusters of near-duplicates are not kept together, the largest of 11" in caplog.text


@pytest.mark.parametrize("rows", PLACES)
def test_a_chain_of_near_images_is_one_cluster(spark: SparkSession, rows: int) -> None:
    # One bright spot more in each: far apart at the ends, near from one to the next.
    start = face(1)
    chain = [start]
    for step in range(7):
        changed = chain[-1].copy()
        changed[10 + 12 * step : 24 + 12 * step, 20:60] = 255
        chain.append(changed)
    rows_of = [("", 7 - place, 1.0, pixels.tobytes()) for place, pixels in enumerate(chain)]
    schema = "path string, id int, label double, pixels binary"
    found = find(spark.createDataFrame(rows_of, schema).repartition(2), rows)

    assert found.members is not None
    assert {row.id: row.cluster for row in found.members.collect()} == dict.fromkeys(range(8), 0)
    found.unpersist()


@pytest.mark.slow
def test_nothing_stays_in_memory_after_a_comparison_in_spark(
    spark: SparkSession, images: DataFrame
) -> None:
    def kept() -> set[int]:
        return set(spark.sparkContext._jsc.getPersistentRDDs())

    images.count()
    before = kept()
    found = find(images, MOST_IN_DRIVER + 1)
    assert len(kept() - before) == 1
    found.unpersist()
    assert kept() == before
    find(images.where("id % 10 = 0"), MOST_IN_DRIVER + 1)
    assert kept() == before
