"""Tests for glasses_spark.loading.dataset."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.errors import ConfigError, DataError, ImagesError, LabelsError
from glasses_spark.loading import images as images_module
from glasses_spark.loading.account import Account
from glasses_spark.loading.dataset import load_dataset
from glasses_spark.preprocessing.split import split_column
from tests.faces import noise_png, write_faces, write_labels


def used(frame: DataFrame) -> list[tuple[int, float]]:
    return sorted((row["id"], row["label"]) for row in frame.select("id", "label").collect())


def many(tmp_path: Path, count: int = 100) -> tuple[str, str]:
    """Write ``count`` files, every fifth with label 0; they are not images, but never decoded."""
    folder = write_faces(tmp_path / "faces", {f"{n}.png": b"x" for n in range(count)})
    labels = write_labels(tmp_path / "l.csv", {n: float(n % 5 != 0) for n in range(count)})
    return str(folder), str(labels)


def test_the_frame_has_images_with_content_and_label(spark: SparkSession, tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "faces", ["face-1.png", "sub-9/face-02.png"])
    labels = write_labels(tmp_path / "labels.csv", {2: "0.0", 1: "1.0"})

    dataset = load_dataset(spark, str(folder), str(labels))

    assert dataset.frame.dtypes == [
        ("path", "string"),
        ("modificationTime", "timestamp"),
        ("length", "bigint"),
        ("content", "binary"),
        ("id", "int"),
        ("label", "double"),
    ]
    rows = {row["id"]: row for row in dataset.frame.collect()}
    assert {number: row["label"] for number, row in rows.items()} == {1: 1.0, 2: 0.0}
    assert bytes(rows[1]["content"]) == noise_png(seed=0)
    assert bytes(rows[2]["content"]) == noise_png(seed=1)
    assert rows[2]["path"] == f"file:{folder}/sub-9/face-02.png"
    assert rows[2]["length"] == len(noise_png(seed=1))
    assert dataset.account == Account(2, 2, 2, 0, 0, 0, 0, 0)


def test_images_and_labels_left_out_are_counted_named_and_logged(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["1.png", "2.png", "3.png", "4.png", "77.png", "none.png", "99999999999.png"]
    folder = write_faces(tmp_path / "faces", names)
    labels = write_labels(
        tmp_path / "labels.csv", {1: 1, 2: 0, 3: "", 4: "nan", 500: 1, 501: "", 502: 0}
    )

    with caplog.at_level(logging.INFO, logger="glasses_spark"):
        dataset = load_dataset(spark, str(folder), str(labels))

    assert used(dataset.frame) == [(1, 1.0), (2, 0.0)]
    assert dataset.account == Account(
        images=7,
        labels=7,
        used=2,
        undefined_label=2,
        unlabelled=3,
        unnumbered=2,
        beyond_limit=0,
        label_without_image=3,
        undefined_label_names=("3.png", "4.png"),
        unlabelled_names=("77.png", "99999999999.png", "none.png"),
        label_without_image_ids=(500, 501, 502),
    )
    assert [record.getMessage() for record in caplog.records] == [
        "7 images, 7 labels: 2 images used",
        "2 images left out because their label is undefined: 3.png, 4.png",
        "3 images left out because the labels file has no row for them (2 have no usable number "
        "in their name): 77.png, 99999999999.png, none.png",
        "3 labels have no image: index 500, 501, 502",
    ]


def test_at_most_five_names_are_shown(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_faces(tmp_path / "faces", [f"{number}.png" for number in range(9)])
    labels = write_labels(tmp_path / "labels.csv", {0: 1})

    account = load_dataset(spark, str(folder), str(labels)).account

    assert account.unlabelled == 8
    assert account.unlabelled_names == ("1.png", "2.png", "3.png", "4.png", "5.png")
    assert "4.png, 5.png, ..." in caplog.text


@pytest.mark.slow
def test_images_without_a_defined_label_are_not_read(spark: SparkSession, tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "faces", ["1.png", "2.png", "3.png"])
    labels = write_labels(tmp_path / "labels.csv", {1: 1, 2: ""})

    dataset = load_dataset(spark, str(folder), str(labels))
    (folder / "2.png").unlink()
    (folder / "3.png").unlink()

    assert [bytes(row["content"]) for row in dataset.frame.collect()] == [noise_png(seed=0)]


@pytest.mark.slow
def test_reading_all_files_gives_the_same_rows_as_reading_by_name(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_faces(tmp_path / "faces", ["1.png", "2.png", "3.png", "x.png"])
    labels = write_labels(tmp_path / "labels.csv", {1: 1, 2: "", 3: 0, 8: 1})
    by_name = load_dataset(spark, str(folder), str(labels)).frame.orderBy("id").collect()

    monkeypatch.setattr(images_module, "MAX_NAMED_FILES", 0)
    all_files = load_dataset(spark, str(folder), str(labels)).frame.orderBy("id").collect()

    assert all_files == by_name
    assert [row["id"] for row in all_files] == [1, 3]


@pytest.mark.slow
@pytest.mark.parametrize("named", [0, 10_000], ids=["all files", "by name"])
def test_a_limit_keeps_the_shares_of_the_labels(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: int
) -> None:
    monkeypatch.setattr(images_module, "MAX_NAMED_FILES", named)
    images, labels = many(tmp_path)

    dataset = load_dataset(spark, images, labels, limit=20)

    rows = used(dataset.frame)
    assert len(rows) == 20
    assert [label for _, label in rows].count(0.0) == 4
    # Not simply the first files or the smallest ids.
    assert max(number for number, _ in rows) > 50
    assert (dataset.account.used, dataset.account.beyond_limit) == (20, 80)


@pytest.mark.slow
def test_a_limit_keeps_the_fractions_of_the_split(spark: SparkSession, tmp_path: Path) -> None:
    images, labels = many(tmp_path, 400)
    frame = load_dataset(spark, images, labels, limit=200).frame

    part = split_column(test=0.2, seed=0)
    test = frame.select("id").where(part == "test").count()

    assert 0.1 <= test / 200 <= 0.3


def test_a_limit_of_0_or_above_the_number_of_images_keeps_all(
    spark: SparkSession, tmp_path: Path
) -> None:
    images, labels = many(tmp_path, 10)

    for limit in (1000, 0):
        account = load_dataset(spark, images, labels, limit=limit).account
        assert (account.used, account.beyond_limit) == (10, 0)


@pytest.mark.parametrize("limit", [-1, 1])
def test_a_limit_that_the_configuration_refuses_is_an_error(
    spark: SparkSession, tmp_path: Path, limit: int
) -> None:
    with pytest.raises(ConfigError, match=rf"data\.limit: expected .* >= 2, or 0, got {limit}"):
        load_dataset(spark, str(tmp_path), "labels.csv", limit=limit)


def test_no_image_with_a_label_is_an_error_with_the_counts(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = write_faces(tmp_path / "faces", ["1.png", "2.png"])
    labels = write_labels(tmp_path / "labels.csv", {2: "", 3: 1, 4: 0})

    with pytest.raises(
        DataError, match=r"no image has a label: found 2 images .* 3 labels .*1 of them"
    ):
        load_dataset(spark, str(folder), str(labels))


def test_errors_of_images_and_labels_are_raised(spark: SparkSession, tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "faces", ["a-1.png", "b-1.png"])
    labels = write_labels(tmp_path / "labels.csv", {1: 1})

    with pytest.raises(ImagesError, match="two files have the same number"):
        load_dataset(spark, str(folder), str(labels))
    with pytest.raises(LabelsError, match="no such file"):
        load_dataset(spark, str(folder), str(tmp_path / "none.csv"))


@pytest.mark.slow
def test_loading_changes_no_setting_and_caches_nothing(spark: SparkSession, tmp_path: Path) -> None:
    def cached() -> set[int]:
        return set(spark.sparkContext._jsc.getPersistentRDDs())

    images, labels = many(tmp_path, 10)
    settings, cached_before = dict(spark.conf.getAll), cached()

    load_dataset(spark, images, labels, limit=5).frame.count()

    assert dict(spark.conf.getAll) == settings
    assert cached() <= cached_before  # earlier tests may have left something


@pytest.mark.parametrize("named", [0, 10_000], ids=["all files", "by name"])
@pytest.mark.parametrize("labels", [{1: 1, 2: 0, 3: 1}, {1: 1, 2: "", 9: 0}], ids=["all", "some"])
def test_files_to_decode_are_those_with_a_defined_label(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: int,
    labels: dict[int, str | float],
) -> None:
    monkeypatch.setattr(images_module, "MAX_NAMED_FILES", named)
    folder = write_faces(tmp_path / "faces", {"1.png": noise_png(), "2.png": b"", "3.png": b"x"})
    path = write_labels(tmp_path / "labels.csv", labels)

    dataset = load_dataset(spark, str(folder), str(path))

    expected = sorted(number for number, label in labels.items() if label != "" and number < 9)
    assert sorted(row["id"] for row in dataset.undecoded_files.collect()) == expected
    assert "label" not in dataset.undecoded_files.columns
