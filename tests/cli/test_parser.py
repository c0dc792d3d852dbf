"""Tests for glasses_spark.cli.parser."""

from __future__ import annotations

import subprocess
import sys

import pytest

from glasses_spark.cli.main import main

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


def test_the_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "usage: glasses-spark" in text
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("    ")]
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: glasses-spark {command}" in text
    assert f"examples:\n  glasses-spark {command}" in text


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_the_help_imports_neither_spark_nor_tensorflow_nor_numpy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from glasses_spark.cli.main import main\n"
        "try:\n"
        f"    main({arguments})\n"
        "except SystemExit:\n"
        "    pass\n"
        "print({'pyspark', 'tensorflow', 'keras', 'numpy'} & set(sys.modules))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--conf", "x"], "unrecognized arguments: --conf x"),
        (["draw-faces", "--size", "8"], "expected a whole number from 64 to 1024, got '8'"),
        (["draw-faces", "--limit", "0"], "expected a whole number >= 1, got '0'"),
        (["cross-validate", "--folds", "1"], "expected a whole number from 2 to 100, got '1'"),
        (["predict", "a.png"], "the following arguments are required: --model"),
        (["train", "\x1b[2Jface.png"], r"unrecognized arguments: \x1b[2Jface.png"),
        (["compare"], "the following arguments are required: RUN"),
    ],
)
def test_a_wrong_call_ends_with_code_2_and_its_reason(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err
