"""Tests for glasses_spark.datasets.kaggle.fetch, with Kaggle's client and a local server."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from glasses_spark.datasets.kaggle.fetch import MANIFEST, fetch_labels
from glasses_spark.errors import LabelsError
from glasses_spark.runtime.progress import Progress
from tests.datasets.kaggle.fetcher import (
    ARCHIVE,
    FACES,
    FILES,
    HALF,
    LABELS,
    Fetcher,
    contents,
    error_message,
    zip_files,
)
from tests.datasets.kaggle.kaggle_server import DATASET, LABELS_URL, Fault, KaggleServer
from tests.mounts import needs_mounts, run_mounted


def test_the_folder_has_images_tables_and_a_manifest_for_sha256sum(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    answer = fetcher(tmp_path / "faces")

    assert contents(tmp_path / "faces") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    assert (answer["files"], answer["written"]) == (4, 4)
    assert answer["size"] == sum(map(len, FILES.values()))
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--status", MANIFEST],
        cwd=tmp_path / "faces",
        check=True,
    )
    (download, unpacking) = answer["shown"]
    assert (download[1], download[2][0], download[2][-1]) == (len(ARCHIVE), 0, len(ARCHIVE))
    assert unpacking[1:] == [4, [1, 2, 3, 4]]


def test_a_second_call_sends_no_request_and_changes_nothing(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    fetcher(tmp_path / "faces")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    kaggle.asked.clear()

    answer = fetcher(tmp_path / "faces", {})

    assert (answer["files"], answer["written"]) == (4, 0)
    assert kaggle.asked == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_the_work_folder_of_a_killed_call_is_removed(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    fetcher(tmp_path / "faces")
    (tmp_path / ".faces.fetch").mkdir()
    (tmp_path / ".faces.fetch" / "archive.zip").write_bytes(ARCHIVE)
    kaggle.asked.clear()

    assert fetcher(tmp_path / "faces", keep=tmp_path / "kept.zip")["written"] == 0

    assert kaggle.asked == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "kept.zip"]


def test_missing_files_are_restored_and_truncated_ones_are_an_error(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    folder = tmp_path / "faces"
    fetcher(folder)
    (folder / "face-2.png").unlink()

    again = fetcher(folder)

    assert (again["files"], again["written"]) == (4, 1)
    assert contents(folder) == FILES
    (folder / "face-2.png").write_bytes(b"")
    message = error_message(fetcher(folder))
    assert message.startswith(
        f"{folder}/face-2.png: differs from the file of this name in the archive"
    )


def test_existing_files_are_not_changed(fetcher: Fetcher, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "mine.txt").write_bytes(b"mine")
    (folder / "face-1.png").write_bytes(FACES["face-1.png"])

    answer = fetcher(folder)

    assert (answer["files"], answer["written"]) == (4, 3)
    assert contents(folder) == {**FILES, "mine.txt": b"mine"}


def test_too_little_free_space_is_an_error_before_anything_is_written(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(length=10**15)]

    message = error_message(fetcher(tmp_path / "faces"))

    assert message.startswith(f"{tmp_path}: found ")
    assert "GB of free space, wanted 2000000.3 GB for the zip file and the images" in message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_truncated_archive_is_an_error_and_is_deleted(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.archive = ARCHIVE[:HALF]

    message = error_message(fetcher(tmp_path / "faces"))

    assert "not a complete zip archive" in message
    assert message.endswith("and has been deleted. Fetch again")
    kaggle.archive = ARCHIVE
    fetcher(tmp_path / "faces")
    assert contents(tmp_path / "faces") == FILES


def test_an_unsafe_archive_writes_nothing(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.archive = zip_files({"face-1.png": FACES["face-1.png"], "../../face-2.png": b"out"})

    message = error_message(fetcher(tmp_path / "a" / "faces"))

    assert "the entry '../../face-2.png' is outside the folder" in message
    assert list(tmp_path.rglob("*.png")) == []


def test_an_existing_archive_is_used_instead_of_a_download_and_stays(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    archive = tmp_path / "by-hand.zip"
    archive.write_bytes(ARCHIVE)

    fetcher(tmp_path / "faces", archive=archive)

    assert kaggle.asked == []
    assert contents(tmp_path / "faces") == FILES
    assert archive.read_bytes() == ARCHIVE
    archive.write_bytes(ARCHIVE[:HALF])
    message = error_message(fetcher(tmp_path / "others", archive=archive))
    assert message.startswith(f"{archive}: not a complete zip archive")
    assert message.endswith("Delete it, and fetch again")
    assert archive.exists()


def test_a_downloaded_archive_can_be_kept(fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher(tmp_path / "faces", keep=tmp_path / "faces.zip")
    assert (tmp_path / "faces.zip").read_bytes() == ARCHIVE


def test_a_second_call_at_the_same_time_is_an_error(fetcher: Fetcher, tmp_path: Path) -> None:
    work = tmp_path / ".faces.fetch"
    work.mkdir()
    handle = os.open(work, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert "in use by another fetch" in error_message(fetcher(tmp_path / "faces"))
    finally:
        os.close(handle)
    assert fetcher(tmp_path / "faces")["written"] == 4


def test_another_data_set_in_the_folder_is_an_error(fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher(tmp_path / "faces")
    message = error_message(fetcher(tmp_path / "faces", dataset="ada/other-faces"))
    assert f"contains the data set {DATASET}, wanted ada/other-faces" in message


def test_labels_are_downloaded_once_and_checked_each_time(
    kaggle: KaggleServer, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "labels.csv"
    digest = hashlib.sha256(LABELS).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kaggle.environment.items():
            patch.setenv(name, value)

        assert fetch_labels(LABELS_URL, path, sha256=digest, counter=Progress().counter)
        assert path.read_bytes() == LABELS
        assert not fetch_labels(LABELS_URL, path, sha256=digest, counter=Progress().counter)
        path.unlink()
        other = digest[::-1]
        with pytest.raises(LabelsError, match=f"the SHA-256 {digest}, wanted {other}"):
            fetch_labels(LABELS_URL, path, sha256=other, counter=Progress().counter)
        kaggle.labels = b"<html>not found</html>"
        with pytest.raises(LabelsError, match="expected the header 'index,label'"):
            fetch_labels(LABELS_URL, path, sha256="", counter=Progress().counter)
    assert list(path.parent.iterdir()) == []


@needs_mounts
def test_a_mount_point_is_filled(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_bytes(ARCHIVE)
    (tmp_path / "faces").mkdir()
    program = (
        "import os, sys; from pathlib import Path\n"
        "from glasses_spark.datasets.kaggle.fetch import fetch_dataset\n"
        "from glasses_spark.runtime.progress import Progress\n"
        "folder, archive = map(Path, sys.argv[2:])\n"
        "print(fetch_dataset(sys.argv[1], folder, archive=archive, counter=Progress().counter))\n"
        "print(sorted(os.listdir(folder)))\n"
    )
    printed = run_mounted(
        f"mount -t tmpfs -o size=2000m x {tmp_path}/faces",
        program,
        *(DATASET, f"{tmp_path}/faces", f"{tmp_path}/archive.zip"),
    )
    result, names = printed.splitlines()
    assert "written=4" in result
    assert names == str(sorted([*FILES, MANIFEST]))
