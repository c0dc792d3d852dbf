"""A local server in place of Kaggle's, and a process that fetches from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.datasets.kaggle.fetcher import ARCHIVE, LABELS, Fetcher
from tests.datasets.kaggle.kaggle_server import KaggleServer, serving


@pytest.fixture(scope="session")
def kaggle_server() -> Iterator[KaggleServer]:
    with serving() as server:
        yield server


@pytest.fixture
def kaggle(kaggle_server: KaggleServer) -> KaggleServer:
    """The server with the archive and the labels, and without faults."""
    kaggle_server.reset(ARCHIVE, LABELS)
    return kaggle_server


@pytest.fixture(scope="session")
def fetching_process(
    kaggle_server: KaggleServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fetcher]:
    fetcher = Fetcher(kaggle_server, tmp_path_factory.mktemp("home"))
    yield fetcher
    with fetcher.process:
        pass


@pytest.fixture
def fetcher(kaggle: KaggleServer, fetching_process: Fetcher) -> Fetcher:
    """The process; the server is reset before."""
    return fetching_process
