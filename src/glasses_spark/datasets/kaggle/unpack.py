"""Extraction of images and tables from an untrusted zip archive."""

from __future__ import annotations

import errno
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

SUFFIXES: Final = (".png", ".csv")

# The 5,000 images of the Kaggle data set take 1.2 MB each, 6.1 GB in total. Archives beyond
# these limits are rejected.
MAX_ENTRIES: Final = 100_000
MAX_ENTRY_BYTES: Final = 64 * 2**20
MAX_TOTAL_BYTES: Final = 64 * 2**30
MAX_DIRECTORY_BYTES: Final = 64 * 2**20

# Records at the end of a zip file. Each has a signature and the length of the directory, or
# (locator) the position of the zip64 record.
_END: Final = struct.Struct("<4s8xI6x")
_LOCATOR: Final = struct.Struct("<4s4xQ4x")
_LARGE_END: Final = struct.Struct("<4s36xQ8x")
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1
_CHUNK_BYTES: Final = 1 << 20

# Bytes of a name on common file systems, less those of `.NAME.part`.
MAX_NAME_BYTES: Final = 255 - len("..part")

# Characters that some file systems or shells interpret.
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')

# What zipfile raises for bytes that are no archive, or a damaged one.
_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, IndexError, struct.error),
)


class BrokenArchiveError(FetchError):
    """The file is not a complete zip archive."""


@dataclass(frozen=True)
class UnpackedFile:
    """A file on the disk with the content that it has in the archive.

    Attributes:
        name: Base name.
        sha256: SHA-256 of the content, 64 hex digits.
        size: Bytes.
        written: Whether this call has written it.
    """

    name: str
    sha256: str
    size: int
    written: bool


def unpack(archive: Path, folder: Path, *, present: Path, counter: Counter) -> list[UnpackedFile]:
    """Write the PNG and CSV files of an archive into one folder, without subfolders.

    All entries are validated before anything is written. Each file is written completely or
    not at all. Files that exist in either folder are compared with the archive and stay.

    Args:
        archive: The zip file.
        folder: Target folder; created if missing.
        present: Another folder that may contain some of the files.
        counter: Shows the number of files done.

    Returns:
        The files of the archive, in both folders.

    Raises:
        BrokenArchiveError: It is not a complete zip archive.
        FetchError: An entry is unsafe, a limit is exceeded, or a file of the same name with
            other content exists.
    """
    with _opened(archive) as bundle:
        entries = _entries(bundle, archive)
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.part"):  # from an interrupted call
            leftover.unlink()
        files = []
        with counter(f"Unpacking {len(entries):,} files", len(entries)) as show:
            for name, entry in entries.items():
                files.append(_extract(bundle, entry, name, folder, present))
                show(len(files))
    return files


def missing_bytes(archive: Path, folder: Path, *, present: Path) -> int:
    """Return the number of bytes that ``unpack`` would write, with the same arguments."""
    with _opened(archive) as bundle:
        return sum(
            entry.file_size
            for name, entry in _entries(bundle, archive).items()
            if not any((parent / name).exists() for parent in (folder, present))
        )


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    size = _directory_bytes(archive)
    if size > MAX_DIRECTORY_BYTES:
        raise FetchError(
            f"{archive}: found a directory of {size} bytes, wanted at most {MAX_DIRECTORY_BYTES}. "
            "This is not an archive of faces"
        )
    try:
        with zipfile.ZipFile(archive) as bundle:
            yield bundle
    # Names that are not valid UTF-8 although marked as such are UnicodeDecodeErrors.
    except _DAMAGE as error:
        raise BrokenArchiveError(f"{archive}: not a complete zip archive ({error})") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # An entry that begins before the file does.
        raise BrokenArchiveError(f"{archive}: not a complete zip archive ({error})") from error


def _directory_bytes(archive: Path) -> int:
    """Return the length of the directory of an archive from its end record; 0 without one.

    ``zipfile`` reads the whole directory into memory, a thousand bytes per entry, before the
    number of entries is known. Like ``zipfile``, this function searches the end record before
    a comment of up to 65,535 bytes, and its zip64 form before that record.
    """
    with archive.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        start = max(0, length - _END.size - 0xFFFF)
        file.seek(start)
        tail = file.read()
        position = len(tail) - _END.size
        if not (tail[max(0, position) :].startswith(b"PK\5\6") and tail.endswith(b"\0\0")):
            position = tail.rfind(b"PK\5\6")
        if position < 0 or len(tail) < position + _END.size:
            return 0
        sizes = [int(_END.unpack_from(tail, position)[1])]
        locator_position = start + position - _LOCATOR.size
        locator = _read_at(file, locator_position, _LOCATOR)
        if locator and locator[0] == b"PK\6\7":
            # Depending on its version, Python reads the record that the locator points to or
            # the one directly before the locator.
            for record_position in (locator[1], locator_position - _LARGE_END.size):
                record = _read_at(file, record_position, _LARGE_END)
                sizes += [record[1]] if record and record[0] == b"PK\6\6" else []
        return max(sizes[1:] or sizes)


def _read_at(file: IO[bytes], position: int, record: struct.Struct) -> tuple[Any, ...] | None:
    # Beyond its end a file system may refuse to seek.
    if not 0 <= position <= os.fstat(file.fileno()).st_size - record.size:
        return None
    file.seek(position)
    content = file.read(record.size)
    return record.unpack(content) if len(content) == record.size else None


def _entries(bundle: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Validate all entries, and return the PNG and CSV files by base name."""
    entries = bundle.infolist()
    if len(entries) > MAX_ENTRIES:
        raise FetchError(
            f"{archive}: found {len(entries)} entries, wanted at most {MAX_ENTRIES}. This is not "
            "an archive of faces"
        )
    files: dict[str, zipfile.ZipInfo] = {}
    full_names: dict[str, str] = {}
    for entry in entries:
        problem = _problem(entry)
        if problem:
            raise FetchError(
                f"{archive}: unsafe, nothing is unpacked: the entry {entry.filename[:80]!r} "
                f"{problem}. Delete the archive, and do not trust its source"
            )
        name = PurePosixPath(entry.filename).name
        if entry.is_dir() or name.startswith((".", "_")) or not name.lower().endswith(SUFFIXES):
            continue
        if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            raise FetchError(
                f"{archive}: the entry {name[:40]!r}... has a name of {len(name)} characters, "
                f"wanted at most {MAX_NAME_BYTES} bytes, which a disk can hold. Nothing is "
                "unpacked; unpack the archive yourself, and shorten the name"
            )
        # Some file systems ignore case.
        earlier = full_names.setdefault(name.casefold(), entry.filename)
        if earlier != entry.filename or name in files:
            raise FetchError(
                f"{archive}: two entries have the same base name, {earlier!r} and "
                f"{entry.filename!r}. Unpack the archive yourself"
            )
        files[name] = entry
    if not any(name.lower().endswith(".png") for name in files):
        raise FetchError(f"{archive}: contains no PNG file. Check data.dataset")
    total = sum(entry.file_size for entry in files.values())
    if total > MAX_TOTAL_BYTES:
        raise FetchError(
            f"{archive}: would unpack to {total} bytes, wanted at most {MAX_TOTAL_BYTES}. This is "
            "not an archive of faces"
        )
    return files


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Return what is unsafe about an entry, extracted or not; None if nothing is."""
    path = PurePosixPath(entry.filename)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts:
        return "is outside the folder"
    if _UNSAFE.search(entry.filename):
        return "has an unsafe character in its name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _METHODS:
        return f"is compressed with method {entry.compress_type}, not with deflate"
    if entry.file_size > MAX_ENTRY_BYTES:
        return f"would unpack to {entry.file_size} bytes, more than {MAX_ENTRY_BYTES}"
    return None


def _extract(
    bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, folder: Path, present: Path
) -> UnpackedFile:
    for path in (present / name, folder / name):
        if path.is_symlink() or path.exists():
            return _compare_existing(path, entry)
    sha256 = hashlib.sha256()
    part = folder / f".{name}.part"
    with bundle.open(entry) as source, part.open("wb") as file:
        # zipfile returns at most the validated size, and checks the CRC.
        for chunk in _read_chunks(source):
            sha256.update(chunk)
            file.write(chunk)
    part.replace(folder / name)
    return UnpackedFile(name, sha256.hexdigest(), entry.file_size, written=True)


def _compare_existing(path: Path, entry: zipfile.ZipInfo) -> UnpackedFile:
    sha256, crc = hashlib.sha256(), 0
    if path.is_file() and path.stat().st_size == entry.file_size:
        with path.open("rb") as file:
            for chunk in _read_chunks(file):
                sha256.update(chunk)
                crc = zlib.crc32(chunk, crc)
        if crc == entry.CRC:
            return UnpackedFile(path.name, sha256.hexdigest(), entry.file_size, written=False)
    raise FetchError(
        f"{path}: differs from the file of this name in the archive. Move it away, and fetch again"
    )


def _read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
