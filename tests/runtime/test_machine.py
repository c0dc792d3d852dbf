"""Tests for glasses_spark.runtime.machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glasses_spark.runtime.machine import (
    count_cores,
    has_cpu_flag,
    spark_local_folder,
    total_memory,
)

X86 = "processor\t: 0\nmodel name\t: CPU with avx512_bf16\nflags\t\t: fpu sse avx2\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


def test_the_memory_is_at_most_that_of_the_machine() -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < total_memory() <= machine


@pytest.mark.parametrize(
    ("text", "flags", "present"),
    [
        pytest.param(X86, ["avx2"], True, id="present"),
        pytest.param(X86, ["amx", "sse"], True, id="one of several"),
        pytest.param(X86, ["avx512_bf16"], False, id="only in the name of the model"),
        pytest.param(X86, ["avx"], False, id="part of a name"),
        pytest.param(ARM, ["bf16"], True, id="other spelling of the field"),
        pytest.param("", ["avx2"], False, id="empty file"),
    ],
)
def test_features_of_the_processor_are_read_from_their_field(
    tmp_path: Path, text: str, flags: list[str], present: bool
) -> None:
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(text)

    assert has_cpu_flag(flags, cpu_info) == present


def test_without_the_file_no_feature_is_present(tmp_path: Path) -> None:
    assert not has_cpu_flag(["avx2"], tmp_path / "none")


def test_only_the_cores_of_this_process_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 5}, raising=False)
    assert count_cores() == 2

    monkeypatch.delattr("os.sched_getaffinity")  # macOS
    assert count_cores() == 64


def test_the_local_folder_is_the_first_of_sparks_folders_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path}/missing,{tmp_path}")
    assert spark_local_folder() == str(tmp_path)
    monkeypatch.delenv("SPARK_LOCAL_DIRS")
    assert spark_local_folder() is None
