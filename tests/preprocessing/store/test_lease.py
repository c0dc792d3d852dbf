"""Tests for glasses_spark.preprocessing.store.lease, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.preprocessing.store.lease import EXPIRY_SECONDS, FOLDER, Lease, open_lease

HOLDER = """
import sys
from glasses_spark.preprocessing.store.lease import Lease
lease = Lease(None, sys.argv[1])
lease.use(sys.argv[2:])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(folder: str, *segments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds a lease until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder, *segments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_lease_of_another_process_ends_with_it_however_it_ends(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = f"file:{tmp_path}/store"
    mine = Lease(spark, folder)
    with holder(folder, "base-1") as process:
        assert mine.others() == [["base-1"]]
        process.kill()
        process.wait()
        assert mine.others() == []
    with holder(folder) as process:
        assert mine.others() == [[]]
        process.communicate("")  # ends by itself
        names = os.listdir(tmp_path / "store" / FOLDER)
    assert names == [mine.name]
    mine.release()
    assert os.listdir(tmp_path / "store" / FOLDER) == []


def test_a_lease_of_another_machine_expires_by_the_clock_of_the_disk(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = f"file:{tmp_path}/store"
    mine = Lease(spark, folder)
    other = tmp_path / "store" / FOLDER / ("0" * 32)
    other.write_text('{"process": ["another boot", "ns", 1, "2"], "segments": null}')
    assert mine.others() == [None]
    before = time.time() - EXPIRY_SECONDS - 5
    os.utime(other, (before, before))

    assert mine.others() == []
    assert not other.exists()
    mine.release()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"process": 3, "segments": null}', "\0"])
def test_a_file_that_is_not_a_lease_counts_as_one_until_it_expires(
    spark: SparkSession, tmp_path: Path, text: str
) -> None:
    folder = f"file:{tmp_path}/store"
    mine = Lease(spark, folder)
    (tmp_path / "store" / FOLDER / ("0" * 32)).write_text(text)

    assert mine.others() == [None]
    mine.release()


def test_leases_on_another_file_system_are_the_same(spark: SparkSession, tmp_path: Path) -> None:
    # Hadoop's file system of disks, under a scheme that is not treated as a disk.
    spark.range(1).write.parquet(f"file:{tmp_path}/rows")  # Hadoop keeps its file system
    folder = f"FILE:{tmp_path}/store"
    first, second = Lease(spark, folder), Lease(spark, folder)
    first.use(["base-1"])

    assert second.others() == [["base-1"]]
    first.renew()
    first.release()
    assert second.others() == []
    second.release()


def test_files_of_others_in_a_store_of_a_stranger_stay(spark: SparkSession, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for name in ("letter.txt", "0" * 32):
        (documents / name).write_text("mine")
        os.utime(documents / name, (0, 0))
    (tmp_path / "store").mkdir()
    leases = tmp_path / "store" / FOLDER
    leases.symlink_to(documents)
    with pytest.raises(NotADirectoryError, match="expected a folder for leases, found a link"):
        Lease(spark, f"file:{tmp_path}/store")
    assert len(list(documents.iterdir())) == 2

    leases.unlink()
    leases.mkdir()
    (leases / "letter.txt").write_text("mine")
    (leases / ("1" * 32)).symlink_to(documents / "letter.txt")
    os.mkfifo(leases / ("2" * 32))  # reading it would block
    os.utime(leases / "letter.txt", (0, 0))
    assert Lease(spark, f"file:{tmp_path}/store").others() == []
    assert (leases / "letter.txt").exists()
    assert (documents / "letter.txt").exists()


def test_a_store_whose_leases_are_a_link_is_still_read(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / FOLDER).symlink_to(tmp_path)
    assert open_lease(spark, f"file:{tmp_path}/store") is None
    assert "expected a folder for leases, found a link" in caplog.text
