"""Fixture of the tests on a cluster: a standalone cluster on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.standalone import Cluster, Host, standalone


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers with one task slot each, authenticated and encrypted."""
    # As many threads per task as with two tasks in local mode.
    cores = max(1, len(os.sched_getaffinity(0)) // 2)
    with standalone(
        tmp_path_factory.mktemp("cluster"),
        driver=Host(),
        workers=[Host(), Host()],
        cores=cores,
        settings={"spark.task.cpus": str(cores)},
    ) as cluster:
        yield cluster
