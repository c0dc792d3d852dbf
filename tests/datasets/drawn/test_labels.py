"""Tests for glasses_spark.datasets.drawn.labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.errors import ConfigError
from tests.paths import ROOT

COMMITTED = ROOT / "labels.csv"


def test_the_committed_labels_are_those_of_the_generator(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", make_labels(2400, 0))

    assert COMMITTED.read_bytes() == (tmp_path / "labels.csv").read_bytes()


def test_the_committed_labels_have_the_documented_shares_in_random_order() -> None:
    rows = [line.split(",") for line in COMMITTED.read_text().splitlines()]
    kinds = Counter(label for _, label in rows[1:])

    assert rows[0] == ["index", "label"]
    assert [int(index) for index, _ in rows[1:]] == list(range(1, 2401))
    assert kinds == {"1.0": 1339, "0.0": 1052, "": 6, "nan": 3}
    first = Counter(label for _, label in rows[1:1201])
    assert abs(first["1.0"] - kinds["1.0"] / 2) < 60  # random order


def test_too_few_labels_are_an_error() -> None:
    with pytest.raises(ConfigError, match="rows is 8 and seed 0: expected at least 9 rows"):
        make_labels(8, 0)


def test_labels_are_written_with_a_header(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", [(1, "1.0"), (2, ""), (3, "nan")])

    assert (tmp_path / "labels.csv").read_text() == "index,label\n1,1.0\n2,\n3,nan\n"
