"""Fixtures for all tests: one Spark session and fixed seeds."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.session import build_session
from tests.class_archive import start_writing
from tests.error_sites import Recorder
from tests.rotation import is_due

# Set before anything imports TensorFlow, here and in Spark's Python workers.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

_ARCHIVE = pytest.StashKey[tuple[TemporaryDirectory[str], subprocess.Popen[bytes] | None]]()


_RECORDER = pytest.StashKey[Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that notes which test makes which error."""
    parser.addoption("--record-errors", action="store_true", help="write tests/raised_errors.json")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to note errors, in each test process."""
    if session.config.getoption("record_errors"):
        session.config.stash[_RECORDER] = Recorder()
        session.config.stash[_RECORDER].start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save the noted errors."""
    if _RECORDER in session.config.stash:
        session.config.stash[_RECORDER].save()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to write the class archive, in the process that starts the test processes."""
    if config.getoption("numprocesses", None) and "not slow" not in config.option.markexpr:
        folder = TemporaryDirectory(prefix="glasses-spark-tests-")
        config.stash[_ARCHIVE] = (folder, start_writing(Path(folder.name)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Wait for the class archive: an unfinished one would be written in vain."""
    if _ARCHIVE in config.stash:
        folder, process = config.stash[_ARCHIVE]
        if process is not None:
            process.communicate()
        folder.cleanup()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the other parts of the rotation to ``./run test all``."""
    for item in items:
        rotated = item.get_closest_marker("rotated") is not None
        slow = item.get_closest_marker("slow") is not None
        if not is_due(item.nodeid, rotated=rotated, slow=slow):
            item.add_marker(pytest.mark.exhaustive)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One local session with two task slots, as the package builds it for users."""
    session = build_session(
        master="local[2]",
        app_name="glasses-spark-tests",
        # Small data: two partitions are enough, on a machine with any number of cores.
        conf={"spark.sql.shuffle.partitions": "2", "spark.default.parallelism": "2"},
    )
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
