"""Tests for glasses_spark.cli.commands.predict."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from glasses_spark.cli.main import main
from tests.cli.calls import Trained, error_of


@pytest.mark.slow
def test_predict_writes_one_row_for_each_image_that_can_be_decoded(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pq.read_table(trained.run / "predictions.parquet").slice(0, 3).to_pylist()
    (tmp_path / "photos").mkdir()
    for letter, row in zip("abc", rows, strict=True):
        # Without a number in the name: predict needs no labels.
        copy = tmp_path / "photos" / f"{letter}.png"
        copy.write_bytes(Path(row["path"].removeprefix("file:")).read_bytes())
    single = tmp_path / "single.PNG"
    single.write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    (tmp_path / "broken.png").write_text("not an image")

    images = [str(tmp_path / name) for name in ("photos", "single.PNG", "broken.png")]
    assert main(["predict", "--model", str(trained.run), *images]) == 0

    out, err = capsys.readouterr()
    written = list(csv.DictReader(out.splitlines()))
    names = [Path(row["path"]).name for row in written]
    assert names == ["a.png", "b.png", "c.png", "single.PNG"]
    assert all(Path(row["path"]).is_file() for row in written)
    probabilities = [float(row["probability"]) for row in written]
    expected = [row["prediction"][0] for row in [*rows, rows[0]]]
    assert probabilities == pytest.approx(expected, abs=1e-5)
    labels = [int(row["predicted_label"]) for row in written]
    assert labels == [int(probability >= 0.5) for probability in expected]
    assert "broken.png (not a PNG file" in err


@pytest.mark.slow
def test_predict_writes_a_file_and_applies_another_threshold(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.csv"
    image = next((trained.folder / "faces").glob("face-*.png"))
    call = ["predict", "--model", str(trained.run), "--out", str(out), str(image)]

    assert main([*call, "--set", "evaluation.threshold=1"]) == 0

    assert capsys.readouterr().out == ""
    (row,) = csv.DictReader(out.read_text().splitlines())
    assert row["predicted_label"] == "0"


@pytest.mark.slow
def test_a_missing_image_is_one_line(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(["predict", "--model", str(trained.run), "nowhere.png"], capsys)
    assert line.startswith("nowhere.png: no such folder")


def test_a_file_that_cannot_be_written_is_refused_before_spark_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "missing" / "out.csv"
    assert main(["predict", "--model", "no-run", "--out", str(out), "me.png"]) == 2
    assert capsys.readouterr().err == (
        f"error: --out: cannot write {out}: No such file or directory\n"
    )
