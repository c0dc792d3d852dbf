"""Tests for glasses_spark.cli.commands.train."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.cli.main import main
from glasses_spark.runtime.spark_settings import LOCAL_JVM_OPTIONS
from tests.cli.calls import SMALL, Trained, assert_about_equal, error_of, metrics_of, train_in
from tests.paths import ROOT


def test_a_folder_with_other_files_is_not_replaced_by_the_results(
    faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (faces / "run").mkdir()
    (faces / "run" / "thesis.txt").write_text("precious")

    assert main(train_in(faces)) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: run.dir: {faces / 'run'} is not empty and not a run folder")
    assert (faces / "run" / "thesis.txt").read_text() == "precious"


def test_a_run_folder_that_cannot_be_written_is_refused_before_spark_starts(
    faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (faces / "run").symlink_to(faces / "gone")
    assert main(train_in(faces)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: run.dir: {faces}/run is a link to {faces}/gone, which does")

    assert main(train_in(faces, f"run.dir={faces}/labels.csv/run")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: run.dir: cannot create {faces}/labels.csv/run: Not a directory")


# The command line uses the running session of the tests, which saves a JVM for each test.
@pytest.mark.usefixtures("spark")
class TestBadInput:
    def test_a_missing_folder_is_named(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        missing = faces / "nowhere"
        line = error_of(train_in(faces, f"data.images={missing}"), capsys)
        assert line == (
            f"{missing}: no such folder. Give the folder, glob or URI of the images as data.images"
        )

    @pytest.mark.slow
    def test_a_folder_without_images_is_named(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "empty").mkdir()
        line = error_of(train_in(faces, f"data.images={faces / 'empty'}"), capsys)
        assert line.startswith(f"{faces / 'empty'}: no file matches '*.png'")

    @pytest.mark.slow
    def test_too_many_files_that_are_no_images_end_the_run(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "faces" / "face-7.png").write_text("not an image")
        with (faces / "labels.csv").open("a") as labels:
            labels.write("7,1.0\n")
        line = error_of(train_in(faces), capsys)
        assert line.startswith("1 of 5 images cannot be decoded, more than data.max_bad_fraction")
        assert "face-7.png (not a PNG file" in line

    @pytest.mark.slow
    def test_a_file_that_is_no_image_ends_the_run_if_on_bad_is_fail(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "faces" / "face-2.png").write_text("not an image")
        line = error_of(train_in(faces, "data.on_bad=fail", "data.max_bad_fraction=0.9"), capsys)
        assert line.startswith('data.on_bad is "fail": 1 of 4 images cannot be decoded')

    def test_a_wrong_header_of_the_labels_is_named(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "labels.csv").write_text("id,glasses\n1,1.0\n2,0.0\n")
        line = error_of(train_in(faces), capsys)
        assert str(faces / "labels.csv") in line
        assert "index" in line
        assert "glasses" in line

    def test_a_label_that_is_neither_0_nor_1_is_named(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "labels.csv").write_text("index,label\n1,1.0\n2,2.0\n")
        line = error_of(train_in(faces), capsys)
        assert str(faces / "labels.csv") in line
        assert "2.0" in line

    def test_a_missing_labels_file_is_named(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "labels.csv").unlink()
        assert str(faces / "labels.csv") in error_of(train_in(faces), capsys)

    @pytest.mark.slow
    def test_two_files_with_the_same_number_are_named(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        twin = faces / "faces" / "copy-of-face-2.png"
        twin.write_bytes((faces / "faces" / "face-2.png").read_bytes())
        line = error_of(train_in(faces), capsys)
        assert "two files have the same number" in line
        assert "copy-of-face-2.png" in line

    @pytest.mark.slow
    def test_an_empty_test_set_ends_the_run(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = error_of(train_in(faces, "split.test=0.000001"), capsys)
        assert line.startswith("the test set is empty: found 4 images")

    def test_a_failed_run_leaves_no_files(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error_of(train_in(faces, f"data.images={faces / 'nowhere'}"), capsys)
        assert sorted(path.name for path in faces.iterdir()) == ["faces", "labels.csv"]


def test_tracking_without_mlflow_fails_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # makes its import fail
    assert main(["train", "--set", "tracking.mlflow=true"]) == 1
    assert capsys.readouterr().err == (
        "error: logging runs to MLflow needs the package mlflow, which is not installed. "
        'Install it: pip install "glasses-spark[mlflow]"\n'
    )


@pytest.mark.slow
def test_train_reports_each_stage_and_ends_with_the_metrics_and_the_run_folder(
    trained: Trained,
) -> None:
    used = metrics_of(trained.run)["data"]["used"]
    for text in (f"Decoding {used} images", "Epoch 1/1: loss ", "Total params", "Scoring"):
        assert text in trained.err
    # The test metrics are shown before the slow work on the report.
    assert trained.err.index("Test: accuracy 0.") < trained.err.index("Choosing faces")
    assert "WARN" not in trained.err  # neither from Spark nor from TensorFlow
    assert "E0000" not in trained.err

    lines = trained.out.strip().splitlines()
    assert lines[0].split() == ["train", "test"]
    names = [line.rsplit(maxsplit=2)[0].strip() for line in lines[1:7]]
    expected = ["rows", "accuracy", "95 % interval", "log loss", "stable log loss", "roc auc"]
    assert names == expected
    assert lines[-1] == f"Results: {trained.run}"


@pytest.mark.slow
def test_the_option_plots_writes_the_plots_as_files(trained: Trained) -> None:
    plots = {path.stem for path in (trained.run / "plots").iterdir()}
    assert {"learning-loss", "learning-accuracy", "workers-rows"} <= plots
    for name in plots:
        assert (trained.run / "plots" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert "<svg" in (trained.run / "plots" / f"{name}.svg").read_text()


@pytest.mark.slow
@pytest.mark.exhaustive  # tests/cluster/ has it on a cluster
def test_spark_submit_gives_the_same_metrics(trained: Trained, tmp_path: Path) -> None:
    submit = Path(sys.executable).with_name("spark-submit")
    arguments = train_in(trained.folder, *SMALL, f"run.dir={tmp_path / 'submitted'}")[1:]
    done = subprocess.run(
        [
            str(submit),
            *("--master", "local[2]", "--driver-java-options", LOCAL_JVM_OPTIONS),
            *(str(ROOT / "scripts" / "train.py"), *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYSPARK_PYTHON": sys.executable,
            "PATH": f"{submit.parent}{os.pathsep}{os.environ['PATH']}",
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    submitted, direct = metrics_of(tmp_path / "submitted"), metrics_of(trained.run)
    assert submitted["environment"]["spark_master"] == "local[2]"
    for part in ("train", "test"):
        assert_about_equal(submitted[part], direct[part], within=1e-4)
