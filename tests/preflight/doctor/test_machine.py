"""Tests for glasses_spark.preflight.doctor.machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING
from glasses_spark.preflight.doctor.machine import (
    available_memory,
    check_disk,
    check_loopback,
    check_memory,
    check_port,
    check_store,
    check_writable,
    nearest_existing,
)
from glasses_spark.preflight.footprint import GIB, MB, memory_of_run


@pytest.mark.parametrize(
    ("total", "available", "verdict"),
    [
        (memory_of_run(2) - 1, None, FAILED),
        (memory_of_run(2), None, OK),
        (memory_of_run(2), memory_of_run(2) - 1, WARNING),
        (memory_of_run(2), memory_of_run(2), OK),
    ],
)
def test_too_little_memory_fails_and_used_memory_is_a_warning(
    total: int, available: int | None, verdict: str
) -> None:
    check = check_memory(total, workers=2, available=available)

    assert check.verdict == verdict
    assert check.wanted == "2.5 GiB or more for 2 workers"
    assert ("num_workers=1" in check.advice) is (verdict != OK)


def test_more_workers_need_more_memory() -> None:
    assert not check_memory(memory_of_run(2), workers=3).ok


def test_available_memory_is_read_from_linux(tmp_path: Path) -> None:
    memory_info = tmp_path / "meminfo"
    memory_info.write_text("MemTotal:  8000 kB\nMemAvailable:    1000 kB\n")

    assert available_memory(memory_info) == 1000 * 1024
    assert available_memory(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("free", "needed", "ok"),
    [(GIB - 1, 0, False), (GIB, 0, True), (2 * GIB, 3 * GIB, False), (3 * GIB, 3 * GIB, True)],
)
def test_too_little_space_for_temporary_files_fails(free: int, needed: int, ok: bool) -> None:
    check = check_disk(Path("/scratch"), free, needed)

    assert (check.ok, check.found) == (ok, f"{free / GIB:.1f} GiB in /scratch")
    assert ("SPARK_LOCAL_DIRS" in check.advice) is not ok


@pytest.mark.parametrize(("free", "ok"), [(99 * MB, False), (100 * MB, True)])
def test_too_little_space_for_the_pixel_store_fails(free: int, ok: bool) -> None:
    check = check_store(Path("pixels"), free, 100 * MB)

    assert (check.ok, check.wanted) == (ok, "100 MB or more")
    assert ("store.dir=/path" in check.advice) is not ok


def test_a_folder_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()

    check = check_writable("Run folder", tmp_path / "runs" / "one", "run.dir")

    assert (check.ok, check.found) == (False, f"{tmp_path / 'runs'} is a file")
    assert check.advice == "Use another folder: --set run.dir=PATH"


def test_a_read_only_folder_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, for whom every folder is writable.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)

    check = check_writable("Run folder", tmp_path / "new" / "one", "run.dir")

    assert (check.ok, check.wanted) == (False, f"permission to write to {tmp_path}")
    assert nearest_existing(tmp_path / "new" / "one") == tmp_path


def test_loopback_answers_on_this_machine() -> None:
    assert check_loopback().found == "127.0.0.1 answers"


def test_a_loopback_that_does_not_answer_fails() -> None:
    # 192.0.2.0/24 is reserved for documentation, so no machine has this address.
    check = check_loopback("192.0.2.1")

    assert not check.ok
    assert check.advice.startswith("Bring up the interface lo")


def test_a_port_in_use_fails_and_a_free_port_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = check_port("127.0.0.1", port)

    assert (taken.ok, taken.found) == (False, f"127.0.0.1, port {port}: Address already in use")
    assert "training.port=0" in taken.advice
    assert check_port("127.0.0.1", port).ok
    assert check_port("127.0.0.1", 0).ok


@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_fails(address: str) -> None:
    check = check_port(address, 0)

    assert not check.ok
    assert check.found.startswith(f"{address}, any port: ")
