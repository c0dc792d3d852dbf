"""Fetch: a data set of Kaggle's and its labels, brought to this machine once."""

from __future__ import annotations

import errno
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

from glasses_spark.datasets.kaggle.download import PASSING, Counter, download
from glasses_spark.datasets.kaggle.kaggle_archive import locate_archive
from glasses_spark.datasets.kaggle.unpack import BrokenArchiveError, Unpacked, missing_bytes, unpack
from glasses_spark.errors import FetchError
from glasses_spark.loading.labels import check_digest, check_size, parse_labels, without_secrets

logger = logging.getLogger(__name__)

# As `sha256sum --check` reads it, in the folder of the images; Kaggle gives no checksums.
MANIFEST: Final = "SHA256SUMS"
_SUMMARY: Final = re.compile(r"# (\S+): (\d+) files, (\d+) bytes")

# What a signed address answers once its time is over; the next attempt has a new one.
_EXPIRED: Final = frozenset({400, 401, 403})

# Room that is left to others on the disk.
_RESERVE: Final = 256 * 2**20


@dataclass(frozen=True)
class Fetched:
    """What lies in a folder now.

    Attributes:
        files: How many files of the data set.
        size: Their bytes.
        fresh: How many of them were written now.
    """

    files: int
    size: int
    fresh: int


def fetch_dataset(
    dataset: str,
    folder: Path,
    *,
    archive: Path,
    keep: Path | None = None,
    counter: Counter,
    pause: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Download a data set of Kaggle's, and unpack its PNG and CSV files into a folder.

    While it works, everything lies in a hidden folder beside that one; a call that
    was interrupted, or killed, is taken up by the next one. What is there already
    stays; of a complete folder nothing is asked of anybody.

    Args:
        dataset: ``OWNER/NAME`` or ``OWNER/NAME/VERSION``.
        folder: Where to. It appears in one step where it is missing or empty; to
            other files the new ones are added one by one.
        archive: Zip file of the data set; taken where it is there, in place of a
            download, and left alone.
        keep: Where a downloaded zip file goes in the end; None removes it.
        counter: Encloses the parts of the work that take long.
        pause: Waits so many seconds before another attempt.

    Returns:
        What lies there now.

    Raises:
        FetchError: It cannot be had, or must not be unpacked; the message says why.
        SetupError: Kaggle's client cannot be used.
    """
    folder = folder.expanduser().resolve()
    work = folder.with_name(f".{folder.name}.fetch")
    downloaded = work / "archive.zip"
    fetched = _complete(folder, dataset)
    # It is there still where a call was killed after all else was done.
    if fetched and not work.exists():
        return fetched
    with _written(folder), _alone(work):
        if not fetched:
            if archive.is_file():
                logger.info("Taking %s in place of a download", archive)
            elif not downloaded.is_file():
                _download(dataset, downloaded, counter, pause)
            files = _unpack(archive, downloaded, work / "files", folder, counter)
            _settle(files, dataset, work / "files", folder)
            fetched = Fetched(len(files), _total(files), sum(one.fresh for one in files))
        if keep and downloaded.is_file():
            downloaded.replace(keep)
        shutil.rmtree(work)
    return fetched


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
        path: Where to; what is there already is checked and stays.
        sha256: Its SHA-256, 64 hex digits; empty where nobody knows it.
        counter: As for ``fetch_dataset``.
        pause: As for ``fetch_dataset``.

    Returns:
        Whether it was downloaded now.

    Raises:
        FetchError: It cannot be had.
        LabelsError: It is another file than the SHA-256 says, or no labels file.
    """
    with _written(path):
        if path.is_file():
            check_digest(path.read_bytes(), sha256, name=str(path))
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under another name until it was looked at.
        fresh = path.with_name(f".{path.name}.fetch")
        try:
            download(
                lambda: url,
                fresh,
                name=without_secrets(url),
                counter=counter,
                accept=lambda total, missing: check_size(total, without_secrets(url)),
                pause=pause,
            )
            content = fresh.read_bytes()
            check_digest(content, sha256, name=without_secrets(url))
            parse_labels(content, without_secrets(url))
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    return True


def _complete(folder: Path, dataset: str) -> Fetched | None:
    """Return what a finished fetch has left, if it is all there; sizes are compared."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    summary, *lines = manifest.read_text(encoding="utf-8").splitlines() or [""]
    found = _SUMMARY.fullmatch(summary)
    if not found:
        raise FetchError(f"{manifest}: not written by `glasses-spark fetch`. Move it away")
    if found[1] != dataset:
        raise FetchError(
            f"{folder}: found the data set {found[1]} there, wanted {dataset}. Name another folder "
            "as data.images"
        )
    paths = [folder / line.partition("  ")[2] for line in lines]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        logger.warning("%s: %d files are gone, such as %s", folder, len(missing), missing[0].name)
        return None
    size = sum(path.stat().st_size for path in paths)
    if size != int(found[3]):
        logger.warning("%s: found %d bytes there, wanted %s", folder, size, found[3])
        return None
    return Fetched(len(paths), size, fresh=0)


def _download(dataset: str, target: Path, counter: Counter, pause: Callable[[float], None]) -> None:
    download(
        locate_archive(dataset),
        target,
        name=dataset,
        counter=counter,
        # Images hardly shrink in a zip file: they take its size once more.
        accept=lambda total, missing: _require_room(target.parent.parent, missing + total),
        passing=PASSING | _EXPIRED,
        pause=pause,
    )


def _unpack(
    archive: Path, downloaded: Path, files: Path, folder: Path, counter: Counter
) -> list[Unpacked]:
    source = archive if archive.is_file() else downloaded
    try:
        _require_room(folder.parent, missing_bytes(source, files, present=folder))
        return unpack(source, files, present=folder, counter=counter)
    except BrokenArchiveError as error:
        if source == archive:
            raise FetchError(f"{error}. Delete it, and fetch again") from error
        downloaded.unlink()
        raise FetchError(
            f"{error}: so it came from Kaggle, and was deleted. Fetch again"
        ) from error


def _settle(files: Sequence[Unpacked], dataset: str, fresh: Path, folder: Path) -> None:
    """Put the unpacked files in their place; the manifest, which says that all are there, last."""
    summary = f"# {dataset}: {len(files)} files, {_total(files)} bytes\n"
    lines = "".join(f"{one.sha256}  {one.name}\n" for one in files)
    (fresh / MANIFEST).write_text(summary + lines, encoding="utf-8")
    try:
        fresh.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        for name in [*(one.name for one in files), MANIFEST]:
            if (fresh / name).exists():
                (fresh / name).replace(folder / name)


def _total(files: Sequence[Unpacked]) -> int:
    return sum(one.size for one in files)


def _require_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted + _RESERVE:
        raise FetchError(
            f"{folder}: found {free / 1e9:.1f} GB free on this disk, wanted "
            f"{(wanted + _RESERVE) / 1e9:.1f} GB for the zip file and the images. Make room, or "
            "name a folder on another disk as data.images"
        )


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetchError(
            f"{folder}: cannot be written ({error.strerror}: {error.filename}). Check the disk and "
            "the right to write there"
        ) from error


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Make the folder for the work, and keep other calls out of it."""
    work.mkdir(parents=True, exist_ok=True)
    handle = os.open(work, os.O_RDONLY)
    try:
        # The system lets go of it when this process ends, however it ends.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise FetchError(f"{work}: another fetch is at work there. Wait for it to end") from None
    finally:
        os.close(handle)
