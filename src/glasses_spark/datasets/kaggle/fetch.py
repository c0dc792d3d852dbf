"""Fetch of a Kaggle data set and its labels to this machine, resumable and done once."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glasses_spark.datasets.kaggle.download import RETRIED_STATUSES, Counter, download
from glasses_spark.datasets.kaggle.kaggle_archive import locate_archive
from glasses_spark.datasets.kaggle.unpack import (
    BrokenArchiveError,
    UnpackedFile,
    missing_bytes,
    unpack,
)
from glasses_spark.errors import FetchError
from glasses_spark.loading.labels_file import check_digest, check_size, parse_labels, redact_url
from glasses_spark.runtime.mount_points import is_mount_point

logger = logging.getLogger(__name__)

# In the folder of the images, in the format of `sha256sum --check`. Kaggle has no checksums.
MANIFEST: Final = "SHA256SUMS"
_SUMMARY: Final = re.compile(r"# (\S+): (\d+) files, (\d+) bytes")

# Answers for an expired signed address; the next attempt has a new one.
_EXPIRED: Final = frozenset({400, 401, 403})

# Bytes of the disk that must stay free.
_RESERVE: Final = 256 * 2**20


@dataclass(frozen=True)
class FetchResult:
    """The files of a data set in a folder.

    Attributes:
        files: Number of files.
        size: Their total size in bytes.
        written: Number of files written by this call.
    """

    files: int
    size: int
    written: int


def fetch_dataset(
    dataset: str,
    folder: Path,
    *,
    archive: Path,
    keep: Path | None = None,
    counter: Counter,
    pause: Callable[[float], None] = time.sleep,
) -> FetchResult:
    """Download a Kaggle data set, and unpack its PNG and CSV files into a folder.

    Intermediate files are in a hidden folder beside it, where the next call resumes an
    interrupted one. Existing files stay. A complete folder needs no request.

    Args:
        dataset: ``OWNER/NAME`` or ``OWNER/NAME/VERSION``.
        folder: Target folder. If it is missing or empty it appears in one step; otherwise
            the new files are moved into it one by one.
        archive: Zip file of the data set, used instead of a download if it exists, and not
            changed.
        keep: Path to move a downloaded zip file to; None to delete it.
        counter: Shows the progress of the long steps.
        pause: Waits for a number of seconds before a retry.

    Returns:
        The files in the folder.

    Raises:
        FetchError: The download failed, or the archive must not be unpacked.
        SetupError: Kaggle's client is not installed or cannot start.
    """
    folder = folder.expanduser().resolve()
    work = _work_folder(folder)
    downloaded = work / "archive.zip"
    result = _read_complete(folder, dataset)
    # The work folder remains if a call was killed at the very end.
    if result and not work.exists():
        return result
    with _convert_write_errors(folder), _locked(work):
        if not result:
            if archive.is_file():
                logger.info("Using %s instead of a download", archive)
            elif not downloaded.is_file():
                _download(dataset, downloaded, counter, pause)
            files = _unpack(archive, downloaded, work / "files", folder, counter)
            _move_into_place(files, dataset, work / "files", folder)
            result = FetchResult(len(files), _total(files), sum(file.written for file in files))
        if keep and downloaded.is_file():
            shutil.move(downloaded, keep)
        shutil.rmtree(work)
    return result


def fetch_labels(
    url: str,
    path: Path,
    *,
    sha256: str,
    counter: Counter,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Download a labels file.

    Args:
        url: Its http(s) address.
        path: Target file; an existing file is checked and stays.
        sha256: Expected SHA-256, 64 hex digits; empty to accept any file.
        counter: As for ``fetch_dataset``.
        pause: As for ``fetch_dataset``.

    Returns:
        Whether the file was downloaded by this call.

    Raises:
        FetchError: The download failed.
        LabelsError: The file has another SHA-256, or is not a labels file.
        SetupError: The package requests is not installed.
    """
    name = redact_url(url)
    with _convert_write_errors(path):
        if path.is_file():
            check_digest(path.read_bytes(), sha256, name=str(path))
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under another name until it is validated.
        unchecked = path.with_name(f".{path.name}.fetch")
        try:
            download(
                lambda: url,
                unchecked,
                name=name,
                counter=counter,
                accept=lambda total, missing: check_size(total, name),
                pause=pause,
            )
            content = unchecked.read_bytes()
            check_digest(content, sha256, name=name)
            parse_labels(content, name)
            unchecked.replace(path)
        finally:
            unchecked.unlink(missing_ok=True)
    return True


def _work_folder(folder: Path) -> Path:
    """Return the folder for intermediate files, from which files can be renamed to the target."""
    # Files cannot be renamed across mount points.
    if folder.is_dir() and (
        is_mount_point(folder) or not os.access(folder.parent, os.W_OK | os.X_OK)
    ):
        return folder / ".fetch"
    return folder.with_name(f".{folder.name}.fetch")


def _read_complete(folder: Path, dataset: str) -> FetchResult | None:
    """Return the result of a finished fetch if all files still exist; compares their sizes."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    first, *lines = manifest.read_text(encoding="utf-8").splitlines() or [""]
    summary = _SUMMARY.fullmatch(first)
    if not summary:
        raise FetchError(f"{manifest}: not written by `glasses-spark fetch`. Move it away")
    if summary[1] != dataset:
        raise FetchError(
            f"{folder}: contains the data set {summary[1]}, wanted {dataset}. Give another folder "
            "as data.images"
        )
    paths = [folder / line.partition("  ")[2] for line in lines]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        logger.warning(
            "%s: %d files are missing, for example %s", folder, len(missing), missing[0].name
        )
        return None
    size = sum(path.stat().st_size for path in paths)
    if size != int(summary[3]):
        logger.warning("%s: found files of %d bytes, wanted %s", folder, size, summary[3])
        return None
    return FetchResult(len(paths), size, written=0)


def _download(dataset: str, target: Path, counter: Counter, pause: Callable[[float], None]) -> None:
    download(
        locate_archive(dataset),
        target,
        name=dataset,
        counter=counter,
        # Zip hardly compresses images: unpacked they need about the same space again.
        accept=lambda total, missing: _require_space(target.parent.parent, missing + total),
        retried=RETRIED_STATUSES | _EXPIRED,
        pause=pause,
    )


def _unpack(
    archive: Path, downloaded: Path, files: Path, folder: Path, counter: Counter
) -> list[UnpackedFile]:
    source = archive if archive.is_file() else downloaded
    try:
        _require_space(folder.parent, missing_bytes(source, files, present=folder))
        return unpack(source, files, present=folder, counter=counter)
    except BrokenArchiveError as error:
        if source == archive:
            raise FetchError(f"{error}. Delete it, and fetch again") from error
        downloaded.unlink()
        raise FetchError(
            f"{error}. It was damaged when it came from Kaggle and has been deleted. Fetch again"
        ) from error


def _move_into_place(
    files: Sequence[UnpackedFile], dataset: str, unpacked: Path, folder: Path
) -> None:
    """Move the unpacked files to the folder; the manifest, which marks it as complete, last."""
    summary = f"# {dataset}: {len(files)} files, {_total(files)} bytes\n"
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in files)
    (unpacked / MANIFEST).write_text(summary + lines, encoding="utf-8")
    try:
        unpacked.rename(folder)
    except OSError:
        # Not empty, or not to be renamed itself because it is a mount point.
        if not folder.is_dir():
            raise
        for name in [*(file.name for file in files), MANIFEST]:
            if (unpacked / name).exists():
                (unpacked / name).replace(folder / name)


def _total(files: Sequence[UnpackedFile]) -> int:
    return sum(file.size for file in files)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE:
        raise FetchError(
            f"{folder}: found {free / 1e9:.1f} GB of free space, wanted "
            f"{(needed + _RESERVE) / 1e9:.1f} GB for the zip file and the images. Free some space, "
            "or give a folder on another disk as data.images"
        )


@contextmanager
def _convert_write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetchError(
            f"{path}: cannot be written ({error.strerror}: {error.filename}). Check the disk and "
            "your permission to write there"
        ) from error


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Create the work folder, and lock it against other calls."""
    work.mkdir(parents=True, exist_ok=True)
    handle = os.open(work, os.O_RDONLY)
    try:
        # The system releases the lock when this process ends, in whatever way.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise FetchError(f"{work}: in use by another fetch. Wait until it ends") from None
    finally:
        os.close(handle)
