"""Fixtures of the command line's tests."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.cli.main import main
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.runtime import native_stderr
from tests.cli.calls import SMALL, Trained, train_in

# Variables that the command line sets for its process.
_VARIABLES = ("GRPC_VERBOSITY", "TF_CPP_MIN_LOG_LEVEL", native_stderr.VARIABLE)


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """Restore what the command line sets for its process: logging and variables."""
    root, package = logging.getLogger(), logging.getLogger("glasses_spark")
    level, handlers, package_level = root.level, list(root.handlers), package.level
    variables = {name: os.environ.get(name) for name in _VARIABLES}
    yield
    logging.captureWarnings(False)
    root.setLevel(level)
    root.handlers[:] = handlers
    package.setLevel(package_level)
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder with `faces`, which holds face-1.png to face-6.png, and `labels.csv`."""
    labels = tmp_path / "labels.csv"
    labels.write_text("index,label\n1,1.0\n2,0.0\n3,1.0\n4,0.0\n5,\n6,nan\n")
    draw_faces(labels, tmp_path / "faces", size=64, processes=1)
    return tmp_path


@pytest.fixture(scope="session")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run that `glasses-spark train --plots` wrote; no test changes it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # all processes of the tests share one run
    folder, output = root / "cli-trained", root / "cli-trained.json"
    with (root / "cli-trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            trained = _train(folder)
            output.write_text(json.dumps([trained.out, trained.err]))
    return Trained(folder, *json.loads(output.read_text()))


def _train(folder: Path) -> Trained:
    folder.mkdir()
    write_labels(folder / "labels.csv", make_labels(30, seed=2))
    draw_faces(folder / "labels.csv", folder / "faces", size=64, processes=1)
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main([*train_in(folder, *SMALL), "--plots"]) == 0
    return Trained(folder, out.getvalue(), err.getvalue())
