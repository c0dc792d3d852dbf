"""Test of what a run that is killed leaves on the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from tests.cli.calls import SMALL, train_in
from tests.runtime.processes import clean_environment

HOLD = """
import sys
from glasses_spark.runtime.session import spark_session
from glasses_spark.runtime.python_workers.warm_up import warm_up_fork_server
with spark_session(master="local[1]") as spark:
    warm_up_fork_server(spark.sparkContext, threads=1)
    rows = spark.range(100).repartition(2).persist()
    assert rows.count() == 100
    print("ready", flush=True)
    sys.stdin.read()
    rows.unpersist(blocking=True)
    assert spark.range(100).repartition(3).count() == 100
"""


def start(command: list[str], temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=clean_environment(TMPDIR=str(temporary)),
    )


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail("".join(lines))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder whose path is short enough for sockets."""
    with TemporaryDirectory(prefix="left-") as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.rotated
def test_the_next_run_removes_what_a_killed_run_left_and_nothing_of_a_living_one(
    tmp_path: Path, temporary: Path
) -> None:
    write_labels(tmp_path / "labels.csv", make_labels(30, seed=2))
    draw_faces(tmp_path / "labels.csv", tmp_path / "faces", size=64, processes=1)
    train = ["-m", "glasses_spark", *train_in(tmp_path, *SMALL)]

    with start(["-c", HOLD], temporary) as living:
        wait_for(living, "ready")
        of_living = sorted(temporary.rglob("*"))
        assert any(path.name.startswith("blockmgr-") for path in of_living)

        with start([*train, "--set", "training.epochs=10000"], temporary) as killed:
            wait_for(killed, "Epoch 1/")
            os.killpg(killed.pid, signal.SIGKILL)  # with its JVM and workers
        left = sorted(temporary.rglob("*"))
        assert len(left) > len(of_living)

        done = subprocess.run(
            [sys.executable, *train],
            capture_output=True,
            text=True,
            env=clean_environment(TMPDIR=str(temporary)),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert sorted(temporary.rglob("*")) == of_living
        assert names(tmp_path) == {"faces", "labels.csv", "pixels", "run"}
        assert not (tmp_path / "run" / "checkpoint").exists()

        living.communicate("")
    assert living.returncode == 0
    assert names(temporary) == set()
