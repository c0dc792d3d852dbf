"""Tests for glasses_spark.runtime.python_workers.fork_server, in the workers of a real Spark."""

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

from glasses_spark.runtime.python_workers.fork_server import (
    ForkServer,
    start_fork_server,
    stop_fork_server,
)
from glasses_spark.runtime.python_workers.warm_up import warm_up_fork_server
from glasses_spark.runtime.workers import worker_environment

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

THREADS = 6  # that no other test uses: these workers have done nothing before

# A driver that starts a server, prints its process id, and exits or is killed.
DRIVER = """
import os, signal, sys
from glasses_spark.runtime.python_workers.warm_up import warm_up_fork_server
from glasses_spark.runtime.session import spark_session

with spark_session(master="local[1]") as spark:
    print(warm_up_fork_server(spark.sparkContext, threads=1).pid, flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def server(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    """A fork server for the session, in the place of one that other tests started."""
    context = spark.sparkContext
    stop_fork_server(context)
    monkeypatch.setitem(context.environment, "A_TEST_OF", "the fork server")
    yield warm_up_fork_server(context, threads=THREADS)
    stop_fork_server(context)


def describe_worker(spark: SparkSession) -> dict[str, Any]:
    """Return the properties of a worker that trains or scores."""

    def report(batches: Iterable[Any]) -> Iterator[Any]:
        import json
        import os
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        worker: dict[str, Any] = {
            "ancestors": [],
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
            worker["ancestors"].append(process)
        yield pa.RecordBatch.from_pydict({"worker": [json.dumps(worker)]})

    with worker_environment(spark.sparkContext, threads=THREADS):
        rows = spark.range(1).mapInArrow(report, "worker string")
    worker: dict[str, Any] = json.loads(rows.collect()[0].worker)
    return worker


def test_a_second_start_returns_the_running_server(spark: SparkSession, server: ForkServer) -> None:
    assert start_fork_server(spark.sparkContext, {}) is server


def test_workers_that_compute_are_forks_of_the_server_and_otherwise_the_same(
    spark: SparkSession, server: ForkServer
) -> None:
    forked = describe_worker(spark)
    stop_fork_server(spark.sparkContext)
    plain = describe_worker(spark)  # in another daemon: the variable of the address is gone

    assert server.pid in forked.pop("ancestors")
    assert server.pid not in plain.pop("ancestors")
    assert forked == plain
    assert forked["imported"]


def test_a_daemon_imports_by_itself_after_its_server_was_killed(
    spark: SparkSession, server: ForkServer
) -> None:
    os.kill(server.pid, signal.SIGKILL)

    worker = describe_worker(spark)

    assert worker["imported"]
    assert server.pid not in worker["ancestors"]


def test_a_daemon_with_other_variables_imports_by_itself(
    spark: SparkSession, server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(spark.sparkContext.environment, "TF_ENABLE_ONEDNN_OPTS", "0")

    worker = describe_worker(spark)

    assert worker["imported"]
    assert server.pid not in worker["ancestors"]


def test_malformed_requests_are_rejected_and_the_next_is_served(
    spark: SparkSession, server: ForkServer
) -> None:
    too_long, no_object, no_json = b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\4nope"
    for request in (b"", too_long, no_object, no_json):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(server.address)
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b"", request

    assert server.pid in describe_worker(spark)["ancestors"]


def test_a_daemon_of_another_python_is_rejected(server: ForkServer) -> None:
    variables = Path(f"/proc/{server.pid}/environ").read_text().split("\0")
    for prefix, is_accepted in ((sys.prefix, True), ("/elsewhere", False)):
        request = {
            "python": [sys.version, prefix],
            "environment": dict(v.split("=", 1) for v in variables if v),
            "folder": "/",
            "path": [],
        }
        body = json.dumps(request).encode()
        with socket.socket(socket.AF_UNIX) as connection, open(os.devnull) as pipe:
            connection.connect(server.address)
            socket.send_fds(connection, [len(body).to_bytes(4, "big")], [pipe.fileno()] * 3)
            connection.sendall(body)
            assert (connection.recv(1) == b"\1") == is_accepted


def test_only_this_user_can_reach_the_socket(server: ForkServer) -> None:
    assert Path(server.address).parent.stat().st_mode & 0o077 == 0
    server.stop()
    assert not Path(server.address).exists()


@pytest.mark.parametrize("end", [pytest.param("exited", marks=pytest.mark.exhaustive), "killed"])
def test_a_server_ends_with_its_driver(end: str) -> None:
    driver = subprocess.run(
        [sys.executable, "-c", DRIVER, end], capture_output=True, text=True, check=False
    )
    assert driver.returncode == (0 if end == "exited" else -signal.SIGKILL), driver.stderr
    pid = int(driver.stdout.split()[-1])
    # It may still be importing; afterwards it reads standard input.
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([process], [], [], 60)
    finally:
        os.close(process)
    assert ended
