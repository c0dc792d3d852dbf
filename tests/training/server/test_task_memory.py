"""Tests for glasses_spark.training.server.task_memory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glasses_spark.training.server.calls import Position
from glasses_spark.training.server.parameter_client import ParameterClient
from glasses_spark.training.server.protocol import CallEndedError, ProtocolError
from glasses_spark.training.server.task_memory import MemoryAddress, TaskMemory
from glasses_spark.training.weights import WeightLayout
from tests.training.server.served_fit import ServedFit

LAYOUT = WeightLayout(((3000,),), ((5,),), "float32")

# Doubles the weights into the second update.
TASK = """
import sys
from glasses_spark.training.server.task_memory import MemoryAddress, TaskMemory
from glasses_spark.training.weights import WeightLayout

address = MemoryAddress(sys.argv[1], sys.argv[2], 2)
memory = TaskMemory.attach(address, WeightLayout(((3000,),), ((5,),), "float32"))
if memory is None:
    sys.exit("none")
memory.updates[1][:] = 2 * memory.weights
"""


def create(updates: int = 2) -> tuple[TaskMemory, MemoryAddress]:
    made = TaskMemory.create(LAYOUT, updates)
    assert made is not None
    return made


def run_task(address: MemoryAddress, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TASK, address.path, address.token],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_another_process_reads_weights_and_writes_an_update() -> None:
    memory, address = create()
    memory.weights[:] = np.arange(LAYOUT.size)
    assert run_task(address).returncode == 0
    assert np.array_equal(memory.updates[1], 2 * np.arange(LAYOUT.size, dtype=np.float32))
    assert not memory.updates[0].any()


def test_after_close_no_process_can_open_it_and_its_users_keep_it() -> None:
    memory, address = create()
    task = TaskMemory.attach(address, LAYOUT)
    assert task is not None
    memory.close()
    memory.close()
    assert run_task(address).stderr == "none\n"
    task.updates[0][:] = 3
    assert memory.updates[0][-1] == 3


def test_memory_of_something_else_is_left_alone() -> None:
    _, address = create()
    assert TaskMemory.attach(replace(address, token="0" * 64), LAYOUT) is None
    assert TaskMemory.attach(replace(address, updates=3), LAYOUT) is None
    assert TaskMemory.attach(replace(address, path="/proc/1/fd/999999"), LAYOUT) is None
    assert TaskMemory.attach(replace(address, path=f"/proc/{os.getpid()}/fd/0"), LAYOUT) is None
    assert TaskMemory.attach(address, LAYOUT) is not None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs two users")
def test_another_user_cannot_open_it() -> None:
    _, address = create()
    result = subprocess.run(
        ["head", "-c1", address.path], user=65534, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "Permission denied" in result.stderr


def test_it_cannot_be_made_shorter() -> None:
    _, address = create()
    with open(address.path, "r+b") as file, pytest.raises(PermissionError):
        file.truncate(10)


@pytest.mark.parametrize(
    "value",
    [
        "/proc/1/fd/1",
        ["/proc/1/fd/1", "00"],
        ["/proc/1/fd/1", "00", "1"],
        ["/proc/1/fd/1", "00", 0],
        ["/etc/passwd", "00", 1],
        ["/proc/1/fd/../../../etc/passwd", "00", 1],
    ],
)
def test_a_malformed_address_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError, match="memory: expected a path"):
        MemoryAddress.of_header(value)


def test_the_token_is_not_in_the_repr() -> None:
    _, address = create()
    assert address.token not in repr(address)
    assert MemoryAddress.of_header(address.header()) == address
    assert MemoryAddress.of_header(None) is None


def two_steps(fit: ServedFit, client: ParameterClient) -> list[float]:
    """Push two steps of each of two workers, and return a weight after each answer."""
    client.join()
    seen = [float(client.pull(Position(0, 0))[0])]
    for step in range(2):
        for worker in range(2):
            push = fit.push(step, value=worker + 1, version=client.version)
            if fit.coordinator.schedule.synchronous and worker == 0:
                push = replace(push, awaited=None)
            answer = client.push(worker, push)
            if answer is not None:
                seen.append(float(answer[0]))
    return seen


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
def test_weights_are_the_same_with_and_without_shared_memory(mode: str) -> None:
    results = []
    for shared_memory in (True, False):
        fit = ServedFit(mode=mode, shared_memory=shared_memory)
        with fit.server, fit.client(0, 1) as client:
            seen = two_steps(fit, client)
        results.append(([value - seen[0] for value in seen], fit.weights.version))
    assert results[0] == results[1]
    synchronous = [0, -1.5, -3.0]
    expected = synchronous if mode == "synchronous" else [0, -1, -3, -4, -6]
    assert results[0][0] == pytest.approx(expected, abs=1e-6)


def test_a_system_without_such_memory_sends_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    fit = ServedFit()
    with fit.server, fit.client(0, 1) as client:
        assert "memory" not in client.join().header
        assert client.push(0, fit.push()) is not None


def test_the_memory_of_an_older_attempt_is_closed(fit: ServedFit) -> None:
    with fit.client(attempt=1) as old, fit.client(attempt=2) as new:
        address = MemoryAddress.of_header(old.join().header["memory"])
        assert address is not None
        assert TaskMemory.attach(address, fit.weights.layout) is not None
        new.join()
        assert TaskMemory.attach(address, fit.weights.layout) is None
        with pytest.raises(CallEndedError, match="attempt 1 is not the current attempt"):
            old.push(0, fit.push())
        assert new.push(0, fit.push()) is not None


def test_no_memory_is_left_open_after_the_fit() -> None:
    fit = ServedFit()
    with fit.server, fit.client(0) as client:
        address = MemoryAddress.of_header(client.join().header["memory"])
    assert address is not None
    assert TaskMemory.attach(address, fit.weights.layout) is None


@pytest.mark.parametrize(
    ("memory", "reason"), [(1, "slot: expected one below 1"), ("x", "integer")]
)
def test_an_update_outside_of_the_memory_is_refused(
    fit: ServedFit, memory: object, reason: str
) -> None:
    with fit.client(0) as client:
        client.join()
        header = {
            "worker": 0,
            "position": [0, 0],
            "rows": 4,
            "metrics": [0.0] * 4,
            "version": 0,
            "random": [],
            "memory": memory,
        }
        with pytest.raises(Exception, match=reason):
            client._call("Push", header)
    assert fit.weights.version == 0
