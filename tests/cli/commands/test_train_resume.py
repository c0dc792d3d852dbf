"""Tests of ``glasses-spark train`` that is killed, and goes on with ``--resume``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.cli.main import main
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.runtime.keras import import_keras
from tests.cli.calls import SMALL, train_in

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

EPOCHS = 20
SETTINGS = [*SMALL, f"training.epochs={EPOCHS}", "training.optimizer=sgd", "split.validation=0.2"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `faces` and `labels.csv`."""
    folder = tmp_path_factory.mktemp("resume")
    write_labels(folder / "labels.csv", make_labels(30, seed=2))
    draw_faces(folder / "labels.csv", folder / "faces", size=64, processes=1)
    return folder


@pytest.fixture(scope="module")
def whole(spark: SparkSession, small: Path) -> Path:
    """The run folder of a training that was not killed."""
    assert main(train(small, small / "whole")) == 0
    return small / "whole"


def train(folder: Path, run: Path | str, *options: str) -> list[str]:
    return [*train_in(folder, *SETTINGS, f"run.dir={run}"), *options]


def end_after_epoch(arguments: list[str], epoch: int, number: signal.Signals) -> tuple[int, str]:
    """Start a program, send it a signal when it has shown an epoch; return its end."""
    command = [sys.executable, "-m", "glasses_spark", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # It may be ignored by this process, as with `nohup`.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    ) as process:
        limit = threading.Timer(120, os.killpg, [process.pid, signal.SIGKILL])
        limit.start()
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith(f"Epoch {epoch}/"):
                process.send_signal(number)
        limit.cancel()
    return process.returncode, "".join(lines)


def weights_in(run: Path) -> list[Any]:
    weights: list[Any] = import_keras().models.load_model(run / "model.keras").get_weights()
    return weights


@pytest.mark.parametrize(
    "number",
    [
        # The torture test kills drivers as well.
        pytest.param(signal.SIGKILL, marks=pytest.mark.exhaustive),
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.exhaustive),
    ],
)
def test_a_killed_training_is_resumed_with_the_weights_of_one_never_killed(
    small: Path,
    whole: Path,
    tmp_path: Path,
    number: signal.Signals,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines = end_after_epoch(train(small, tmp_path / "killed"), 5, number)
    folder = tmp_path / "killed" / "checkpoint"
    if number is signal.SIGKILL:
        assert code == -number
    else:
        assert code == 128 + number
        assert f"the checkpoint is in {folder}" in lines
        assert "Traceback" not in lines
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["checkpoint"]
    assert list(folder.glob("checkpoint-*.zip"))

    assert main(train(small, tmp_path / "killed", "--resume")) == 0
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Epoch ")]
    assert f"Epoch {EPOCHS}/{EPOCHS}" in shown[-1]
    assert 0 < len(shown) < EPOCHS

    for resumed, expected in zip(weights_in(tmp_path / "killed"), weights_in(whole), strict=True):
        assert np.array_equal(resumed, expected)
    for run in (tmp_path / "killed", whole):
        assert not (run / "checkpoint").exists()
        assert "resume = false" in (run / "config.toml").read_text()
