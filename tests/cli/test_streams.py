"""Tests for glasses_spark.cli.streams, in processes with the shell's redirections."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The commands are replaced, so that no case takes seconds: one whose printed text is its result,
# and one with results elsewhere.
PROGRAM = """
import logging, os, sys
from contextlib import suppress
from glasses_spark.cli.commands import compare, doctor
from glasses_spark.cli.main import program
from glasses_spark.cli.streams import print_summary

def with_text(arguments):
    for _ in range(1000):
        print("ergänzt \\U0001f453")

def with_summary(arguments):
    logging.getLogger("glasses_spark").info("bräunlich")
    print("x" * 10_000, file=sys.stderr)
    print("Epoch 1", flush=True)
    with open("results", "w") as file:
        print_summary("ergänzt \\U0001f453")
        with suppress(OSError):
            os.write(2, b"native code")
        file.write("complete")

compare.run, doctor.run = with_text, with_summary
program()
"""
TEXT, SUMMARY = "compare a b", "doctor"


def run(command: str, redirections: str, folder: Path, **variables: str) -> tuple[int, str, str]:
    """Run a command with redirections of bash; return exit code, output and errors."""
    (folder / "program.py").write_text(PROGRAM)
    call = f"{sys.executable} program.py {command} {redirections}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", call],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full 2>&1"])
@pytest.mark.parametrize(
    "variables",
    [{"PYTHONUNBUFFERED": ""}, {"PYTHONUNBUFFERED": "1"}, {"GLASSES_SPARK_QUICK_EXIT": "0"}],
)
def test_a_command_with_results_elsewhere_succeeds_whatever_the_streams_are(
    tmp_path: Path, redirections: str, variables: dict[str, str]
) -> None:
    assert run(SUMMARY, redirections, tmp_path, **variables)[0] == 0
    assert (tmp_path / "results").read_text() == "complete"


def test_a_summary_that_cannot_be_printed_is_a_warning(tmp_path: Path) -> None:
    code, _, errors = run(SUMMARY, "> /dev/full", tmp_path)
    assert code == 0
    assert errors.splitlines() == [
        "bräunlich",
        "x" * 10_000,
        "warning: standard output cannot be written: No space left on device",
        "native code",
    ]


def test_results_that_cannot_be_printed_are_an_error(tmp_path: Path) -> None:
    code, _, errors = run(TEXT, "> /dev/full", tmp_path)
    assert code == 1
    assert errors == "error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("redirections", [">&-", "| head -1"])
def test_output_that_nobody_reads_is_no_error(tmp_path: Path, redirections: str) -> None:
    code, _, errors = run(TEXT, redirections, tmp_path)
    assert (code, errors) == (0, "")


@pytest.mark.parametrize("command", [TEXT, SUMMARY])
def test_characters_that_the_encoding_lacks_are_escaped(tmp_path: Path, command: str) -> None:
    code, output, errors = run(command, "", tmp_path, PYTHONIOENCODING="ascii:strict")
    assert code == 0
    assert "erg\\xe4nzt \\U0001f453\n" in output
    assert "error" not in errors
