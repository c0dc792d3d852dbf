"""Calls of the command line, and what a small training run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from glasses_spark.cli.main import main

# Settings of a run on a few small faces.
SMALL = [
    "image.height=32",
    "image.width=32",
    "split.test=0.3",
    "training.epochs=1",
    "training.batch_size=8",
    "training.num_workers=2",
    # The only reproducible mode, so that two runs can be compared.
    "training.mode=synchronous",
]


@dataclass(frozen=True)
class Trained:
    """Result of `glasses-spark train` on 30 faces.

    Attributes:
        folder: Contains `run`, `faces`, `pixels` and `labels.csv`.
        out: Standard output.
        err: Standard error.
    """

    folder: Path
    out: str
    err: str

    @property
    def run(self) -> Path:
        return self.folder / "run"


def train_in(folder: Path, *overrides: str) -> list[str]:
    """Return the arguments that train on `faces` and `labels.csv` of a folder."""
    paths = [
        f"data.images={folder / 'faces'}",
        f"data.labels={folder / 'labels.csv'}",
        f"run.dir={folder / 'run'}",
        f"store.dir={folder / 'pixels'}",
    ]
    return ["train", *(part for override in [*paths, *overrides] for part in ("--set", override))]


def error_of(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command whose work must fail, and return its error message of one line."""
    capsys.readouterr()
    assert main(arguments) == 1
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert error.rstrip().endswith(lines[0])  # nothing is printed after it
    assert "Traceback" not in error
    return lines[0].removeprefix("error: ")


def metrics_of(run: Path) -> dict[str, Any]:
    """Return the metrics that a run folder holds."""
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return metrics


def assert_about_equal(
    metrics: dict[str, Any], expected: dict[str, Any], *, within: float = 1e-5
) -> None:
    """Compare the metrics of one set of the split, including their intervals."""
    # pytest.approx takes no nested values.
    intervals, expected_intervals = metrics.pop("intervals"), expected.pop("intervals")
    assert metrics == pytest.approx(expected, abs=within)
    assert list(intervals) == list(expected_intervals)
    for name, interval in intervals.items():
        assert interval == pytest.approx(expected_intervals[name], abs=within)
