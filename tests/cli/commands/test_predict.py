"""Tests for glasses_spark.cli.commands.predict."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from glasses_spark.cli.main import main
from glasses_spark.scorer.face_detector import Face
from tests.cli.calls import Trained, error_of


@dataclass(frozen=True)
class Photos:
    """Three faces of the run in a folder, one again as a file, and a file that is no image."""

    arguments: list[str]
    expected: list[float]


@pytest.fixture
def photos(trained: Trained, tmp_path: Path) -> Photos:
    rows = pq.read_table(trained.run / "predictions.parquet").slice(0, 3).to_pylist()
    (tmp_path / "photos").mkdir()
    for letter, row in zip("abc", rows, strict=True):
        # Without a number in the name: predict needs no labels.
        copy = tmp_path / "photos" / f"{letter}.png"
        copy.write_bytes(Path(row["path"].removeprefix("file:")).read_bytes())
    single = tmp_path / "single.PNG"
    single.write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    (tmp_path / "broken.png").write_text("not an image")
    names = ("photos", "single.PNG", "broken.png")
    expected = [row["prediction"][0] for row in [*rows, rows[0]]]
    return Photos([str(tmp_path / name) for name in names], expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--csv"], "not a PNG or JPEG file"),
        (["--csv", "--spark"], "not a PNG file"),
        # A setting of Spark asks for it.
        (["--csv", "--set", "spark.ui=false"], "not a PNG file"),
    ],
    ids=["alone", "on Spark", "by a setting"],
)
def test_predict_writes_one_row_for_each_image_that_can_be_decoded(
    trained: Trained,
    photos: Photos,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    reason: str,
) -> None:
    call = ["predict", "--model", str(trained.run), *options, *photos.arguments]
    assert main(call) == 0

    out, err = capsys.readouterr()
    written = list(csv.DictReader(out.splitlines()))
    names = [Path(row["path"]).name for row in written]
    assert names == ["a.png", "b.png", "c.png", "single.PNG"]
    assert all(Path(row["path"]).is_file() for row in written)
    probabilities = [float(row["probability"]) for row in written]
    assert probabilities == pytest.approx(photos.expected, abs=1e-5)
    labels = [int(row["predicted_label"]) for row in written]
    assert labels == [int(probability >= 0.5) for probability in photos.expected]
    assert "broken.png" in err
    assert reason in err
    assert "Account of 5 files: 4 predicted, 1 quarantined (1 not_png)" in err


@pytest.mark.slow
def test_a_table_and_json_also_have_the_images_that_cannot_be_decoded(
    trained: Trained, photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["predict", "--model", str(trained.run), *photos.arguments]
    assert main(call) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["probability", "label", "image"]
    assert lines[0].split() == [
        f"{photos.expected[0]:.6f}",
        str(int(photos.expected[0] >= 0.5)),
        f"{photos.arguments[0]}/a.png",
    ]
    assert lines[-1].split(maxsplit=2)[:2] == ["-", "-"]
    assert lines[-1].endswith("broken.png: not a PNG or JPEG file")

    assert main([*call, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["probability"] for row in rows[:-1]] == pytest.approx(photos.expected, abs=1e-5)
    assert rows[-1] == {
        "path": photos.arguments[-1],
        "probability": None,
        "predicted_label": None,
        "error": "not a PNG or JPEG file",
        "warning": None,
    }


@pytest.mark.slow
def test_a_process_scores_standard_input_and_an_exported_file(
    trained: Trained, photos: Photos
) -> None:
    image = Path(photos.arguments[0]) / "a.png"
    command = [sys.executable, "-m", "glasses_spark", "predict", "--json", "--model"]
    for model in (trained.run, trained.run / "model.onnx"):
        done = subprocess.run(
            [*command, str(model), "-"],
            input=image.read_bytes(),
            capture_output=True,
            check=True,
        )
        row = json.loads(done.stdout)
        assert row["path"] == "-"
        assert row["probability"] == pytest.approx(photos.expected[0], abs=1e-5)


@pytest.mark.slow
def test_a_run_of_an_earlier_version_is_scored_by_spark(
    trained: Trained, photos: Photos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "earlier"
    shutil.copytree(trained.run, run)
    (run / "model.onnx").unlink()
    call = ["predict", "--csv", "--model", str(run), photos.arguments[0]]
    assert main(call) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(out.splitlines()))
    assert [float(row["probability"]) for row in rows] == pytest.approx(
        photos.expected[:3], abs=1e-5
    )
    assert f"`glasses-spark export --model {run}` writes it: Spark scores the images" in err


@pytest.mark.slow
def test_images_of_which_none_can_be_used_are_an_error(
    trained: Trained, photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(["predict", "--model", str(trained.run), photos.arguments[-1]], capsys)
    assert line.startswith("none of the 1 images can be used, such as ")


@pytest.mark.slow
def test_a_closed_standard_input_is_an_error(trained: Trained) -> None:
    command = f"{sys.executable} -m glasses_spark predict --model {trained.run} - <&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: none of the 1 images can be used, such as -" in done.stderr
    assert "(cannot be read: standard input is closed)" in done.stderr


def test_standard_input_is_not_for_spark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--model", "run", "--spark", "-"]) == 2
    assert "--spark cannot read standard input (-)" in capsys.readouterr().err


def test_align_is_not_for_spark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--model", "run", "--spark", "--align", "me.png"]) == 2
    err = capsys.readouterr().err
    assert "--align works without Spark, but Spark was asked for. Leave --align out" in err
    assert main(["predict", "--model", "run", "--align", "hdfs:///photos"]) == 2
    assert "but hdfs:///photos is not on this machine" in capsys.readouterr().err


@pytest.mark.slow
def test_align_names_photographs_without_exactly_one_face(
    trained: Trained,
    photos: Photos,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tight = Face((64, 70), (75, 75), ((48, 61), (80, 61)), (64, 92))
    counts = iter([1, 0, 3, 1])
    lock = Lock()

    def detect(grey: NDArray[np.uint8]) -> list[Face]:
        with lock:
            count = next(counts)
        unit = grey.shape[0] / 128
        eyes = tuple((x * unit, y * unit) for x, y in tight.eyes)
        face = Face(
            tight.centre, tight.size, (eyes[0], eyes[1]), (tight.mouth[0] * unit, 92 * unit)
        )
        return [face] * count

    monkeypatch.setattr("glasses_spark.scorer.scorer.open_detector", lambda: detect)
    monkeypatch.setattr("glasses_spark.scorer.scorer.count_cores", lambda: 1)
    call = ["predict", "--model", str(trained.run), "--align", "--json", *photos.arguments]
    assert main(call) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["error"] for row in rows] == [
        None,
        "no face found",
        "3 faces found; crop the picture to one",
        None,
        "not a PNG or JPEG file",
    ]
    # A picture with the margins of the training pictures is scored as it is.
    assert rows[0]["probability"] == pytest.approx(photos.expected[0], abs=1e-5)
    assert rows[1]["probability"] is None
    assert "3 quarantined (1 no_face, 1 not_png, 1 several_faces)" in err


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
    assert line.startswith("nowhere.png: no image file found")


def test_a_file_that_cannot_be_written_is_refused_before_spark_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "missing" / "out.csv"
    assert main(["predict", "--model", "no-run", "--out", str(out), "me.png"]) == 2
    assert capsys.readouterr().err == (
        f"error: --out: cannot write {out}: No such file or directory\n"
    )


@pytest.mark.slow
def test_neither_an_image_nor_the_model_is_overwritten(
    trained: Trained, photos: Photos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    folder = Path(photos.arguments[0])
    for out in (
        folder / "a.png",
        Path(photos.arguments[1]),
        run / "model.onnx",
        run / "report.html",
    ):
        before = out.read_bytes()
        call = ["predict", "--model", str(run), "--out", str(out), *photos.arguments]
        assert main(call) == 2
        assert f"--out: {out} is " in capsys.readouterr().err
        assert out.read_bytes() == before


@pytest.mark.slow
def test_output_that_the_shell_appends_to_a_file_is_appended(
    trained: Trained, photos: Photos, tmp_path: Path
) -> None:
    out = tmp_path / "all.csv"
    out.write_text("earlier\n")
    command = [sys.executable, "-m", "glasses_spark", "predict", "--model", str(trained.run)]
    with out.open("a") as file:
        subprocess.run(
            [*command, "--out", "/dev/stdout", photos.arguments[1]], stdout=file, check=True
        )
    assert out.read_text().startswith("earlier\npath,probability,predicted_label\n")
