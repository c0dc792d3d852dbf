"""What the tests on a cluster share: one standalone cluster on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.standalone import Cluster, Host, standalone


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers with room for one task each, authenticated and encrypted."""
    # So that a task computes on as many threads as one of two has in local mode.
    cores = max(1, len(os.sched_getaffinity(0)) // 2)
    with standalone(
        tmp_path_factory.mktemp("cluster"),
        driver=Host(),
        workers=[Host(), Host()],
        cores=cores,
        settings={"spark.task.cpus": str(cores)},
    ) as cluster:
        yield cluster
