"""Tests for glasses_spark.runtime.gateway, with signals to a process that starts Spark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.runtime.processes import clean_environment

MARK = "GLASSES_SPARK_TEST_MARK"
PORT_FILE = "_PYSPARK_DRIVER_CONN_INFO_PATH"
PROGRAM = """
from glasses_spark.runtime.session import spark_session

with spark_session(master="local[1]") as spark:
    print(spark.sparkContext.parallelize([1]).map(lambda n: n + 1).count(), flush=True)
    input()
"""

# Seconds that a process may take to notice that its parent has ended.
LONGEST_END_S = 60.0

Condition = Callable[["Started"], bool]


class Started:
    """A Python process that starts Spark, in a process group of its own, and its children."""

    def __init__(self, folder: Path) -> None:
        self._mark = f"{MARK}={uuid.uuid4()}".encode()
        name, _, value = self._mark.decode().partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=folder,
            env=clean_environment(**{name: value}, TMPDIR=str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def children(self) -> dict[int, tuple[str, bytes]]:
        """Return the command and the variables of each process that descends from this one."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or folder.name == str(self.process.pid):
                continue
            try:
                variables = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:  # it has ended, or belongs to somebody else
                continue
            if self._mark in variables.split(b"\0"):
                found[int(folder.name)] = (command.replace(b"\0", b" ").decode(), variables)
        return found

    def runs(self, *words: str) -> bool:
        """Return whether one of the children was started with all these words."""
        commands = [command for command, _ in self.children().values()]
        return any(all(word in command for word in words) for command in commands)

    def has_port(self) -> bool:
        """Return whether the JVM has written its port."""
        for command, variables in self.children().values():
            if "deploy.SparkSubmit" in command:
                entries = dict(entry.split(b"=", 1) for entry in variables.split(b"\0") if entry)
                path = Path(os.fsdecode(entries.get(PORT_FILE.encode(), b"")))
                # PySpark removes the folder as soon as it has read the file.
                return path.exists() or not path.parent.exists()
        return False

    def has_worked(self) -> bool:
        """Wait until a Python worker has done a task."""
        assert self.process.stdout is not None
        return self.process.stdout.readline() == b"1\n"

    def until(self, condition: Condition) -> None:
        """Wait for a condition."""
        while not condition(self):
            assert self.process.poll() is None, "the process has ended"
            time.sleep(0.001)

    def remaining(self) -> list[str]:
        """Return the commands of the children that do not end by themselves."""
        deadline = time.monotonic() + LONGEST_END_S
        while (left := self.children()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [command for command, _ in left.values()]

    def clean_up(self) -> None:
        for pid in [*self.children(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.communicate()


@contextmanager
def started(folder: Path) -> Iterator[Started]:
    start = Started(folder)
    try:
        yield start
    finally:
        start.clean_up()


MOMENTS: dict[str, Condition] = {
    "the script": lambda start: start.runs("bash", "spark-class"),
    "Spark's launcher": lambda start: start.runs("java", "org.apache.spark.launcher.Main"),
    "the JVM": lambda start: start.runs("java -", "org.apache.spark.deploy.SparkSubmit"),
    "its port": Started.has_port,
    "a worker": Started.has_worked,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.rotated),
        pytest.param(signal.SIGKILL, marks=pytest.mark.rotated),
        pytest.param(signal.SIGHUP, marks=pytest.mark.rotated),
    ],
)
def test_a_signal_at_any_moment_of_the_start_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    remaining = {}
    for moment, condition in MOMENTS.items():
        with started(tmp_path) as start:
            start.until(condition)
            # As a terminal does with Ctrl-C, and when it is closed.
            to_group = number in (signal.SIGINT, signal.SIGHUP)
            (os.killpg if to_group else os.kill)(start.process.pid, number)
            assert start.process.wait(timeout=LONGEST_END_S) != 0
            remaining[moment] = start.remaining()

    assert remaining == {moment: [] for moment in MOMENTS}
    if number == signal.SIGINT:
        # PySpark's folder is gone as well.
        assert [path for path in tmp_path.iterdir() if path.name.startswith("tmp")] == []
