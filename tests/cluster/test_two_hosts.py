"""Tests with driver and worker in separate network namespaces."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.cluster.fits import PYTHONPATH, ROWS, command
from tests.cluster.standalone import Cluster, Host, run_driver, standalone

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

# The ports of docs/cluster.md. They are free in a new namespace.
DRIVER_PORT, BLOCK_MANAGER_PORT, PARAMETER_SERVER_PORT = 7078, 7079, 7080


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two connected network namespaces, 10.77.0.1 and 10.77.0.2."""
    if shutil.which("ip") is None:
        pytest.skip("requires the command `ip` (Debian: apt install iproute2)")
    if os.geteuid() != 0:
        pytest.skip("requires root, to create network namespaces")
    names = [f"gs{os.getpid()}{side}" for side in "ab"]
    with ExitStack() as stack:
        for name in names:
            added = ip("netns", "add", name)
            if added.returncode != 0:
                pytest.skip(f"cannot create a network namespace: {added.stderr.strip()}")
            stack.callback(ip, "netns", "del", name)
        first, second = names
        steps = [["link", "add", first, "netns", first, "type", "veth"]]
        steps[0] += ["peer", "name", second, "netns", second]
        for number, name in enumerate(names, start=1):
            steps += [
                ["-n", name, "address", "add", f"10.77.0.{number}/24", "dev", name],
                ["-n", name, "link", "set", name, "up"],
                ["-n", name, "link", "set", "lo", "up"],
            ]
        for step in steps:
            process = ip(*step)
            assert process.returncode == 0, f"ip {' '.join(step)}: {process.stderr}"
        driver, worker = (
            Host(f"10.77.0.{number}", ("ip", "netns", "exec", name))
            for number, name in enumerate(names, start=1)
        )
        yield driver, worker


@pytest.fixture(scope="module")
def cluster(
    hosts: tuple[Host, Host], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A master on the driver's host, and a worker with two cores on the other host."""
    driver, worker = hosts
    settings = {
        # The driver listens on all addresses, as behind a network address translation.
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.driver.port": str(DRIVER_PORT),
        "spark.driver.blockManager.port": str(BLOCK_MANAGER_PORT),
    }
    folder = tmp_path_factory.mktemp("hosts")
    with standalone(folder, driver=driver, workers=[worker], cores=2, settings=settings) as cluster:
        yield cluster


def test_a_worker_on_another_host_needs_only_the_documented_ports(
    cluster: Cluster, hosts: tuple[Host, Host]
) -> None:
    program = command(cluster.master, {"mode": "asynchronous", "port": PARAMETER_SERVER_PORT})
    process = run_driver(cluster, program, host=hosts[0], PYTHONPATH=PYTHONPATH)
    assert process.returncode == 0, process.stderr
    fit: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])["fits"][0]
    assert set(fit["rows"]) == {ROWS}
    assert fit["scored"] == ROWS
    # All ports of the driver's host that other hosts can reach, except those of the master.
    master_ports = {int(port) for port in re.findall(r"on port (\d+)\.", cluster.log)}
    documented = {DRIVER_PORT, BLOCK_MANAGER_PORT, PARAMETER_SERVER_PORT}
    assert set(fit["listening"]) - master_ports == documented


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command ``ip``."""
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
