"""Tests for glasses_spark.preprocessing.digest."""

from __future__ import annotations

import re

from pyspark.sql import SparkSession

from glasses_spark.preprocessing.digest import data_digest

ROWS = [(1, 0.0, b"\x01\x02"), (2, 1.0, b"\x03\x04"), (3, 1.0, b"\x05\x06")]
SCHEMA = "id int, label double, pixels binary"


def digest(spark: SparkSession, rows: list[tuple[int, float, bytes]]) -> str:
    return data_digest(spark.createDataFrame(rows, SCHEMA))[0]


def test_the_order_of_the_rows_does_not_matter(spark: SparkSession) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", digest(spark, ROWS))
    assert digest(spark, ROWS[::-1]) == digest(spark, ROWS)


def test_an_id_a_label_a_pixel_and_a_row_change_the_digest(spark: SparkSession) -> None:
    changed = [
        [(7, 0.0, b"\x01\x02"), *ROWS[1:]],
        [(1, 1.0, b"\x01\x02"), *ROWS[1:]],
        [(1, 0.0, b"\x01\x03"), *ROWS[1:]],
        ROWS[1:],
    ]

    assert len({digest(spark, rows) for rows in [ROWS, *changed]}) == 5


def test_no_rows_have_the_digest_zero(spark: SparkSession) -> None:
    assert digest(spark, []) == "0" * 16


def test_the_pixels_of_wanted_images_come_with_the_digest(spark: SparkSession) -> None:
    found, pixels = data_digest(spark.createDataFrame(ROWS, SCHEMA).repartition(2), [3, 1, 7])
    assert found == digest(spark, ROWS)
    assert pixels == {1: b"\x01\x02", 3: b"\x05\x06"}
