"""Tests for glasses_spark.runtime.python_workers.fork_server, through the workers of a real Spark."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.python_workers import fork_server
from glasses_spark.runtime.python_workers.warm_up import begin_to_import
from glasses_spark.runtime.workers import worker_environment

pytestmark = pytest.mark.slow

THREADS = 6  # that no other test asks for: these workers have done nothing before

# A driver that starts a server, names it and ends, one way or the other.
DRIVER = """
import os, signal, sys
from glasses_spark.runtime.python_workers.warm_up import begin_to_import
from glasses_spark.runtime.python_workers.fork_server import _servers
from glasses_spark.runtime.session import spark_session

with spark_session(master="local[1]") as spark:
    begin_to_import(spark.sparkContext, threads=1)
    print(_servers[spark.sparkContext]._process.pid, flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def own_server(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> Iterator[fork_server._Server]:
    """A server for the session, whatever other tests have started before."""
    context = spark.sparkContext
    kept = fork_server._servers.pop(context, None)
    monkeypatch.setitem(context.environment, "A_TEST_OF", "the fork server")
    begin_to_import(context, threads=THREADS)
    server = fork_server._servers.pop(context)
    fork_server._servers[context] = server
    yield server
    server.close()
    del fork_server._servers[context]
    if kept is not None:
        fork_server._servers[context] = kept


def look(spark: SparkSession) -> dict[str, Any]:
    """What a worker that trains or scores tells of itself."""

    def report(batches: Iterable[Any]) -> Iterator[Any]:
        import json
        import os
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        found: dict[str, Any] = {
            "parents": [],
            "threads": os.environ.get("GLASSES_SPARK_THREADS"),
            "imported": "tensorflow" in sys.modules,
            "hash": hash("glasses"),
            "folder": os.getcwd(),
            "path": sys.path,
            "standard input": os.readlink("/proc/self/fd/0"),
        }
        process = os.getpid()
        while process > 1:
            with open(f"/proc/{process}/stat") as stat:
                process = int(stat.read().rpartition(")")[2].split()[1])
            found["parents"].append(process)
        yield pa.RecordBatch.from_pydict({"found": [json.dumps(found)]})

    with worker_environment(spark.sparkContext, threads=THREADS):
        rows = spark.range(1).mapInArrow(report, "found string")
    told: dict[str, Any] = json.loads(rows.collect()[0].found)
    return told


def test_workers_that_compute_are_forks_of_the_server_and_as_spark_wants_them(
    spark: SparkSession, own_server: fork_server._Server
) -> None:
    forked = look(spark)
    own_server.close()
    fork_server._servers.pop(spark.sparkContext)
    plain = look(spark)  # another address, thus another daemon

    assert own_server._process.pid in forked.pop("parents")
    assert own_server._process.pid not in plain.pop("parents")
    assert forked == plain
    assert forked["imported"]
    fork_server._servers[spark.sparkContext] = own_server  # as the fixture left it


def test_a_daemon_whose_server_was_killed_imports_by_itself(
    spark: SparkSession, own_server: fork_server._Server
) -> None:
    own_server._process.kill()
    own_server._process.wait()

    found = look(spark)

    assert found["imported"]
    assert own_server._process.pid not in found["parents"]


def test_a_daemon_with_another_environment_imports_by_itself(
    spark: SparkSession, own_server: fork_server._Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(spark.sparkContext.environment, "TF_ENABLE_ONEDNN_OPTS", "0")

    found = look(spark)

    assert found["imported"]
    assert own_server._process.pid not in found["parents"]


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\4nope"],
    ids=["nothing", "too long", "no object", "no JSON"],
)
def test_what_is_no_request_is_refused_and_others_are_served(
    spark: SparkSession, own_server: fork_server._Server, request_bytes: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(own_server.address)
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""

    assert own_server._process.pid in look(spark)["parents"]


@pytest.mark.parametrize("python", [[sys.version, sys.prefix], [sys.version, "/elsewhere"]])
def test_daemons_of_another_python_are_refused(
    own_server: fork_server._Server, python: list[str]
) -> None:
    variables = Path(f"/proc/{own_server._process.pid}/environ").read_text().split("\0")
    request = {
        "python": python,
        "environment": dict(v.split("=", 1) for v in variables if v),
        "folder": "/",
        "path": [],
    }
    body = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as connection, open(os.devnull) as pipe:
        connection.connect(own_server.address)
        socket.send_fds(connection, [len(body).to_bytes(4, "big")], [pipe.fileno()] * 3)
        connection.sendall(body)
        taken = connection.recv(1)
    assert (taken == b"\1") == (python[1] == sys.prefix)


def test_the_socket_is_for_this_user_alone(own_server: fork_server._Server) -> None:
    assert Path(own_server.address).parent.stat().st_mode & 0o077 == 0
    own_server.close()
    assert not Path(own_server.address).parent.exists()


@pytest.mark.parametrize("end", ["well", "killed"])
def test_a_server_ends_with_its_driver(end: str) -> None:
    driver = subprocess.run(
        [sys.executable, "-c", DRIVER, end], capture_output=True, text=True, check=False
    )
    assert driver.returncode == (0 if end == "well" else -signal.SIGKILL), driver.stderr
    pid = int(driver.stdout.split()[-1])
    # It may be importing still, and looks at its input after that.
    try:
        server = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([server], [], [], 60)
    finally:
        os.close(server)
    assert ended
