"""Tests for glasses_spark.datasets.kaggle.unpack."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from glasses_spark.datasets.kaggle import unpack as unpack_module
from glasses_spark.datasets.kaggle.unpack import BrokenArchiveError, missing_bytes, unpack
from glasses_spark.errors import FetchError
from glasses_spark.runtime.progress import Progress
from tests.faces import noise_png

FACE = noise_png()


def make_archive(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def entry_of_kind(kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("face-2.png")
    entry.external_attr = (kind | 0o777) << 16
    return entry


def unpacked(archive: Path, folder: Path) -> list[str]:
    files = unpack(archive, folder, present=folder / "none", counter=Progress().counter)
    return [file.name for file in files]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("../face-2.png", "is outside the folder"),
        ("faces/../../face-2.png", "is outside the folder"),
        ("/tmp/face-2.png", "is outside the folder"),
        ("..\\face-2.png", "has an unsafe character in its name"),
        ("C:face-2.png", "has an unsafe character in its name"),
        ("face-2\n.png", "has an unsafe character in its name"),
        (entry_of_kind(stat.S_IFLNK), "is a link or a device"),
        (entry_of_kind(stat.S_IFCHR), "is a link or a device"),
        (entry_of_kind(stat.S_IFIFO), "is a link or a device"),
    ],
)
@pytest.mark.parametrize("position", ["first", "last"])
def test_an_unsafe_entry_is_an_error_before_anything_is_written(
    tmp_path: Path, entry: str | zipfile.ZipInfo, message: str, position: str
) -> None:
    entries = [(entry, b"/etc/passwd"), ("face-1.png", FACE)]
    archive = make_archive(tmp_path / "a.zip", *(entries if position == "first" else entries[::-1]))

    with pytest.raises(FetchError, match=f"unsafe, nothing is unpacked: .* {message}"):
        unpacked(archive, tmp_path / "out")

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip"]


def test_a_zip_bomb_is_rejected_by_the_size_of_one_entry_and_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The archive has a thousandth of the size of its content.
    big = ("face-1.png", b"\0" * (unpack_module.MAX_ENTRY_BYTES + 1))
    archive = make_archive(tmp_path / "one.zip", big)
    assert archive.stat().st_size < 100_000
    with pytest.raises(FetchError, match="would unpack to 67108865 bytes, more than 67108864"):
        unpacked(archive, tmp_path / "out")

    monkeypatch.setattr(unpack_module, "MAX_TOTAL_BYTES", 2 * len(FACE))
    faces = [(f"face-{number}.png", FACE) for number in range(3)]
    with pytest.raises(FetchError, match=f"would unpack to {3 * len(FACE)} bytes"):
        unpacked(make_archive(tmp_path / "all.zip", *faces), tmp_path / "out")

    monkeypatch.setattr(unpack_module, "MAX_ENTRIES", 2)
    with pytest.raises(FetchError, match="found 3 entries, wanted at most 2"):
        unpacked(tmp_path / "all.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("comment", [b"", b"x" * 65535])
@pytest.mark.parametrize("large", [False, True])
def test_a_directory_that_is_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comment: bytes, large: bool
) -> None:
    archive = make_archive(tmp_path / "a.zip", ("face-1.png", FACE))
    with zipfile.ZipFile(archive, "a") as file:
        file.comment = comment
    if large:  # zip64, as in archives of more than 4 GB: another record comes first
        content = archive.read_bytes()
        end = content.rfind(b"PK\5\6")
        size, begin = struct.unpack_from("<II", content, end + 12)
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, begin)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        short = content[end : end + 8] + b"\xff" * 12 + content[end + 20 :]
        archive.write_bytes(content[:end] + record + locator + short)
    assert unpacked(archive, tmp_path / "out") == ["face-1.png"]

    monkeypatch.setattr(unpack_module, "MAX_DIRECTORY_BYTES", 55)

    with pytest.raises(FetchError, match="found a directory of 56 bytes"):
        unpacked(archive, tmp_path / "out")


def test_an_entry_larger_than_declared_is_read_only_up_to_the_declared_size(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.zip", ("face-1.png", b"x" * 1_000_000))
    content = bytearray(archive.read_bytes())
    for position in (content.find(b"PK\x03\x04") + 22, content.find(b"PK\x01\x02") + 24):
        content[position : position + 4] = struct.pack("<I", 10)
    archive.write_bytes(content)

    with pytest.raises(BrokenArchiveError, match="Bad CRC-32"):
        unpacked(archive, tmp_path / "out")

    assert not (tmp_path / "out" / "face-1.png").exists()
    assert all(path.stat().st_size <= 10 for path in (tmp_path / "out").iterdir())


def test_an_encrypted_entry_is_an_error(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.zip", ("face-1.png", FACE))
    content = bytearray(archive.read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)

    with pytest.raises(FetchError, match="is encrypted"):
        unpacked(archive, tmp_path / "out")


@pytest.mark.parametrize("other", ["b/face-1.png", "b/FACE-1.png"])
def test_two_entries_with_the_same_base_name_are_an_error(tmp_path: Path, other: str) -> None:
    archive = make_archive(tmp_path / "a.zip", ("a/face-1.png", FACE), (other, FACE))
    with pytest.raises(
        FetchError, match=f"two entries have the same base name, 'a/face-1.png' and '{other}"
    ):
        unpacked(archive, tmp_path / "out")


def test_an_archive_without_png_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="contains no PNG file"):
        unpacked(make_archive(tmp_path / "a.zip", ("train.csv", b"")), tmp_path / "out")


def test_a_damaged_archive_is_an_error_and_unpacking_continues_once_it_is_replaced(
    tmp_path: Path,
) -> None:
    archive = make_archive(
        tmp_path / "a.zip", ("face-1.png", FACE), ("face-2.png", noise_png(seed=2))
    )
    content = archive.read_bytes()
    position = content.rfind(b"PK\x03\x04") + 100
    archive.write_bytes(content[:position] + b"\0\0\0\0" + content[position + 4 :])
    with pytest.raises(BrokenArchiveError, match="not a complete zip archive"):
        unpacked(archive, tmp_path / "out")
    first = (tmp_path / "out" / "face-1.png").stat().st_mtime_ns

    archive.write_bytes(content)

    missing = missing_bytes(archive, tmp_path / "out", present=tmp_path / "none")
    assert unpacked(archive, tmp_path / "out") == ["face-1.png", "face-2.png"]
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert sizes == {"face-1.png": len(FACE), "face-2.png": missing}
    assert (tmp_path / "out" / "face-1.png").stat().st_mtime_ns == first


@pytest.mark.parametrize("name", ["x" * 300 + "-2.png", "é" * 125 + ".png"])
def test_a_name_that_no_disk_can_hold_is_an_error_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    archive = make_archive(tmp_path / "a.zip", ("face-1.png", FACE), (f"faces/{name}", FACE))

    with pytest.raises(FetchError, match=f"the entry '{name[:40]}'... has a name of {len(name)} "):
        unpacked(archive, tmp_path / "faces")

    assert not (tmp_path / "faces").exists()


def test_the_longest_possible_name_is_unpacked(tmp_path: Path) -> None:
    name = "1".zfill(245) + ".png"

    assert unpacked(make_archive(tmp_path / "a.zip", (name, FACE)), tmp_path / "faces") == [name]


def test_a_name_that_is_not_utf8_although_marked_as_such_is_an_error(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.zip", ("é-1.png", FACE))
    archive.write_bytes(archive.read_bytes().replace("é".encode(), b"\xe9\xff"))

    with pytest.raises(BrokenArchiveError, match="not a complete zip archive"):
        unpacked(archive, tmp_path / "faces")
