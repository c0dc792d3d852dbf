"""Fixtures of the tests under Spark Connect: one server, and a session of it in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from tests.connect.server import connect_server

# What PySpark itself sets in a process that `SparkSession.builder.remote` connects.
CONNECTED = "SPARK_CONNECT_MODE_ENABLED"


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    with connect_server(tmp_path_factory.mktemp("connect")) as address:
        yield address


@pytest.fixture(scope="package")
def _session(server: str) -> Iterator[SparkSession]:
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    session = ConnectSession.builder.remote(server).create()
    yield session  # type: ignore[misc]
    session.stop()


@pytest.fixture
def connect(_session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> SparkSession:
    """A session of the server.

    PySpark has one kind of session in a process. Here it shares the process with the classic
    session of other tests, so only a test that uses it is in the mode of Spark Connect.
    """
    monkeypatch.setenv(CONNECTED, "1")
    return _session
