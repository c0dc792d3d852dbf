"""Two hosts that share no loopback: network namespaces with a cable between them."""

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

pytestmark = pytest.mark.slow

# Nobody else is there to have taken them. Those of docs/cluster.md.
DRIVER_PORT, BLOCK_MANAGER_PORT, PARAMETER_SERVER_PORT = 7078, 7079, 7080


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts of this module's own, 10.77.0.1 and 10.77.0.2; nothing outside is touched."""
    if shutil.which("ip") is None:
        pytest.skip("two hosts need the command `ip` (Debian: apt install iproute2)")
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    names = [f"gs{os.getpid()}{side}" for side in "ab"]
    with ExitStack() as stack:
        for name in names:
            made = ip("netns", "add", name)
            if made.returncode != 0:
                pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
            stack.callback(ip, "netns", "del", name)
        one, other = names
        steps = [["link", "add", one, "netns", one, "type", "veth"]]
        steps[0] += ["peer", "name", other, "netns", other]
        for number, name in enumerate(names, start=1):
            steps += [
                ["-n", name, "address", "add", f"10.77.0.{number}/24", "dev", name],
                ["-n", name, "link", "set", name, "up"],
                ["-n", name, "link", "set", "lo", "up"],
            ]
        for step in steps:
            done = ip(*step)
            assert done.returncode == 0, f"ip {' '.join(step)}: {done.stderr}"
        driver, worker = (
            Host(f"10.77.0.{number}", ("ip", "netns", "exec", name))
            for number, name in enumerate(names, start=1)
        )
        yield driver, worker


@pytest.fixture(scope="module")
def cluster(
    hosts: tuple[Host, Host], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A master beside the driver on one host, a worker with two cores on the other."""
    driver, worker = hosts
    settings = {
        # As behind an address translation: it listens here, and is reached by another name.
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.driver.port": str(DRIVER_PORT),
        "spark.driver.blockManager.port": str(BLOCK_MANAGER_PORT),
    }
    folder = tmp_path_factory.mktemp("hosts")
    with standalone(folder, driver=driver, workers=[worker], cores=2, settings=settings) as cluster:
        yield cluster


def test_a_worker_on_another_host_reaches_the_driver_by_its_ports_alone(
    cluster: Cluster, hosts: tuple[Host, Host]
) -> None:
    fit_there = command(cluster.master, {"mode": "asynchronous", "port": PARAMETER_SERVER_PORT})
    done = run_driver(cluster, fit_there, host=hosts[0], PYTHONPATH=PYTHONPATH)
    assert done.returncode == 0, done.stderr
    fit: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["fits"][0]
    assert set(fit["rows"]) == {ROWS}
    assert fit["scored"] == ROWS
    # All that others can reach on the driver's host, the master's own ports aside.
    master = {int(port) for port in re.findall(r"on port (\d+)\.", cluster.log)}
    wanted = {DRIVER_PORT, BLOCK_MANAGER_PORT, PARAMETER_SERVER_PORT}
    assert set(fit["listening"]) - master == wanted


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``ip``."""
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
