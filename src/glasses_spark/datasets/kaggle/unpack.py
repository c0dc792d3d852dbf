"""Unpack: the images and tables of a zip archive that nobody has vouched for."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from glasses_spark.datasets.kaggle.download import Counter
from glasses_spark.errors import FetchError

TAKEN: Final = (".png", ".csv")

# The 5,000 faces take 1.2 MB each, 6.1 GB in all. What is beyond these is no set of faces.
MAX_ENTRIES: Final = 100_000
MAX_ENTRY_BYTES: Final = 64 * 2**20
MAX_TOTAL_BYTES: Final = 64 * 2**30
MAX_DIRECTORY_BYTES: Final = 64 * 2**20

# The records at the end of a zip file: its signature; the length, or the place, that is asked for.
_END: Final = struct.Struct("<4s8xI6x")
_LOCATOR: Final = struct.Struct("<4s4xQ4x")
_LARGE_END: Final = struct.Struct("<4s36xQ8x")
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1
_PIECE: Final = 1 << 20

# Letters that no name of a face needs, and that one system or another reads in its own way.
_ODD: Final = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')


class BrokenArchiveError(FetchError):
    """The file is no zip archive, or not a whole one."""


@dataclass(frozen=True)
class Unpacked:
    """A file that is on the disk as it is in the archive.

    Attributes:
        name: Its base name.
        sha256: Of its content, 64 hex digits.
        size: In bytes.
        fresh: Whether it was written now.
    """

    name: str
    sha256: str
    size: int
    fresh: bool


def unpack(archive: Path, folder: Path, *, present: Path, counter: Counter) -> list[Unpacked]:
    """Write the PNG and CSV files of an archive side by side into one folder.

    Nothing is written before all entries were looked at; each file appears whole
    or not at all. Files that are there already, in either folder, are compared
    with the archive and left alone.

    Args:
        archive: The zip file.
        folder: Where to; made where it is missing.
        present: Another folder, where some of the files may lie already.
        counter: Told how many files are done.

    Returns:
        The files, by name, in both folders.

    Raises:
        BrokenArchiveError: It is not a whole zip archive.
        FetchError: It holds what no set of faces holds, a file of the same name
            but another content is present, or the disk is too small.
    """
    with _opened(archive) as bundle:
        entries = _entries(bundle, archive)
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.part"):  # of a call that was killed
            leftover.unlink()
        done = []
        with counter(f"Unpacking {len(entries):,} files", len(entries)) as show:
            for name, entry in entries.items():
                done.append(_take(bundle, entry, name, folder, present))
                show(len(done))
    return done


def missing_bytes(archive: Path, folder: Path, *, present: Path) -> int:
    """Return how many bytes ``unpack`` would write; the rest as there."""
    with _opened(archive) as bundle:
        return sum(
            entry.file_size
            for name, entry in _entries(bundle, archive).items()
            if not any((place / name).exists() for place in (folder, present))
        )


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    size = _directory_bytes(archive)
    if size > MAX_DIRECTORY_BYTES:
        raise FetchError(
            f"{archive}: found a directory of {size} bytes in it, wanted at most "
            f"{MAX_DIRECTORY_BYTES}; this is no archive of faces"
        )
    try:
        with zipfile.ZipFile(archive) as bundle:
            yield bundle
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BrokenArchiveError(f"{archive}: not a whole zip archive ({error})") from error


def _directory_bytes(archive: Path) -> int:
    """Return the length of the list of entries, as the end of the archive has it; 0 without one.

    The standard library takes the whole list into memory, a thousand bytes an entry, before it
    lets itself be asked. The record at the end is looked for as there: after the list, a
    comment of at most 65,535 bytes behind it, and its large form (zip64) before it.
    """
    with archive.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        start = max(0, length - _END.size - 0xFFFF)
        file.seek(start)
        tail = file.read()
        place = len(tail) - _END.size
        if not (tail[max(0, place) :].startswith(b"PK\5\6") and tail.endswith(b"\0\0")):
            place = tail.rfind(b"PK\5\6")
        if place < 0 or len(tail) < place + _END.size:
            return 0
        sizes = [int(_END.unpack_from(tail, place)[1])]
        locator = _read_at(file, start + place - _LOCATOR.size, _LOCATOR)
        if locator and locator[0] == b"PK\6\7":
            # Some releases of Python go where it points to, others look right before it.
            for where in (locator[1], start + place - _LOCATOR.size - _LARGE_END.size):
                record = _read_at(file, where, _LARGE_END)
                sizes += [record[1]] if record and record[0] == b"PK\6\6" else []
        return max(sizes[1:] or sizes)


def _read_at(file: IO[bytes], place: int, record: struct.Struct) -> tuple[Any, ...] | None:
    if not 0 <= place < 2**63:
        return None
    file.seek(place)
    content = file.read(record.size)
    return record.unpack(content) if len(content) == record.size else None


def _entries(bundle: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Look at every entry, and return those that are taken, by base name."""
    entries = bundle.infolist()
    if len(entries) > MAX_ENTRIES:
        raise FetchError(
            f"{archive}: found {len(entries)} entries, wanted at most {MAX_ENTRIES}; this is no "
            "archive of faces"
        )
    taken: dict[str, zipfile.ZipInfo] = {}
    names: dict[str, str] = {}
    for entry in entries:
        problem = _problem(entry)
        if problem:
            raise FetchError(
                f"{archive}: refused, nothing is unpacked: the entry {entry.filename[:80]!r} "
                f"{problem}. Delete it, and do not trust where it came from"
            )
        name = PurePosixPath(entry.filename).name
        if entry.is_dir() or name.startswith((".", "_")) or not name.lower().endswith(TAKEN):
            continue
        # Some disks do not tell upper from lower case.
        other = names.setdefault(name.casefold(), entry.filename)
        if other != entry.filename or name in taken:
            raise FetchError(
                f"{archive}: two entries have one name, {other!r} and {entry.filename!r}, and "
                "would lie in one place. Unpack it by hand"
            )
        taken[name] = entry
    if not any(name.lower().endswith(".png") for name in taken):
        raise FetchError(f"{archive}: found no PNG file in it, wanted faces. Check data.dataset")
    total = sum(entry.file_size for entry in taken.values())
    if total > MAX_TOTAL_BYTES:
        raise FetchError(
            f"{archive}: would unpack to {total} bytes, wanted at most {MAX_TOTAL_BYTES}; this is "
            "no archive of faces"
        )
    return taken


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Return what is wrong with an entry, if anything; it may be one that is not taken."""
    path = PurePosixPath(entry.filename)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts:
        return "leads out of the folder"
    if _ODD.search(entry.filename):
        return "has a letter in its name that no file of a data set has"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _METHODS:
        return f"is compressed by the method {entry.compress_type}, not by deflate"
    if entry.file_size > MAX_ENTRY_BYTES:
        return f"would unpack to {entry.file_size} bytes, more than {MAX_ENTRY_BYTES}"
    return None


def _take(
    bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, folder: Path, present: Path
) -> Unpacked:
    for path in (present / name, folder / name):
        if path.is_symlink() or path.exists():
            return _compared(path, entry)
    total = hashlib.sha256()
    part = folder / f".{name}.part"
    with bundle.open(entry) as source, part.open("wb") as file:
        # zipfile itself gives no more than the size that was looked at, and checks the CRC.
        for piece in _pieces(source):
            total.update(piece)
            file.write(piece)
    part.replace(folder / name)
    return Unpacked(name, total.hexdigest(), entry.file_size, fresh=True)


def _compared(path: Path, entry: zipfile.ZipInfo) -> Unpacked:
    total, crc = hashlib.sha256(), 0
    if path.is_file() and path.stat().st_size == entry.file_size:
        with path.open("rb") as file:
            for piece in _pieces(file):
                total.update(piece)
                crc = zlib.crc32(piece, crc)
        if crc == entry.CRC:
            return Unpacked(path.name, total.hexdigest(), entry.file_size, fresh=False)
    raise FetchError(
        f"{path}: found another file there than the archive holds under this name. Move it away, "
        "and fetch again"
    )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
