"""Image files on this machine's disks, listed without Spark.

The listing follows the rules of Spark's ``binaryFile`` for globs, hidden names and subfolders.
It reads names as bytes, so it also has those that Java cannot represent.
"""

from __future__ import annotations

import glob as globbing
import os
import re
from collections.abc import Callable, Iterator
from fnmatch import translate
from math import prod
from pathlib import Path
from typing import Final

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.location import local_path

_BRACES: Final = re.compile(r"\{([^{}]*)\}")

# Alternatives of a glob. A run folder, which has one, may come from a stranger.
_MOST_PATTERNS: Final = 1000


def list_disk(location: str, glob: str) -> Iterator[str]:
    """List image files as Spark does, including those in subfolders.

    Args:
        location: Folder, file or glob on this machine.
        glob: Pattern of the base names; case-sensitive.

    Yields:
        Absolute paths, in no particular order; none if the location does not exist. Bytes of
        a name that are not UTF-8 are halves of surrogate pairs, as in ``disk_name``.
    """
    patterns = [re.compile(translate(pattern)) for pattern in _to_python_globs(glob)]

    def matches(name: str) -> bool:
        return any(pattern.match(name) for pattern in patterns)

    for root in _roots(location):
        if not os.path.isdir(root):
            name = _decoded(os.path.basename(root))
            if os.path.exists(root) and not is_hidden(name) and matches(name):
                yield _decoded(root)
        else:
            yield from _walk(root, matches)


def disk_path(location: str) -> str:
    """Return the absolute path of one file in the form of ``list_disk``."""
    path = local_path(location) or Path(location)
    return _decoded(os.fsencode(os.path.normpath(path.absolute())))


def disk_name(path: str) -> bytes:
    """Return the name of a file for the functions of ``os``, from a path in ``list_disk``.

    Unlike ``os.fsencode`` it does not depend on the locale of this process.
    """
    return path.encode("utf-8", "surrogateescape")


def is_utf8(path: str) -> bool:
    """Return whether the bytes of a path in ``list_disk`` are UTF-8."""
    # ASCII is the common case, and a flag of the string.
    return path.isascii() or not any("\udc80" <= character <= "\udcff" for character in path)


def is_hidden(name: str) -> bool:
    """Apply Spark's rule (``InMemoryFileIndex.shouldFilterOutPathName``)."""
    if name.startswith(("_common_metadata", "_metadata")):
        return False
    return (
        name.startswith(".")
        or name.endswith("._COPYING_")
        or (name.startswith("_") and "=" not in name)
    )


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _roots(location: str) -> list[bytes]:
    path = local_path(location)
    if path is not None:
        # Hadoop removes `..` from a path as text as well.
        return [os.fsencode(os.path.normpath(path))]
    pattern = os.path.normpath(Path(location.removeprefix("file:")).expanduser().absolute())
    found: set[bytes] = set()
    for glob in _to_python_globs(pattern):
        found.update(globbing.glob(os.fsencode(glob), include_hidden=True))
    return sorted(found)


def _walk(root: bytes, matches: Callable[[str], bool]) -> Iterator[str]:
    # With the identities of the folders above, because a link may lead back to one of them.
    folders: list[tuple[bytes, frozenset[tuple[int, int]]]] = [(root, frozenset())]
    while folders:
        folder, above = folders.pop()
        try:
            status = os.stat(folder)
            scan = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):  # deleted or replaced since
            continue
        with scan as entries:
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                continue
            prefix = _decoded(folder).rstrip("/") + "/"
            for entry in entries:
                name = _decoded(entry.name)
                if is_hidden(name):
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link to itself
                    continue
                if is_folder:
                    folders.append((entry.path, above | {identity}))
                # As in Java's listing, a pipe is a file, and a dangling link is not.
                elif matches(name) and (entry.is_file() or os.path.exists(entry.path)):
                    yield prefix + name


def _to_python_globs(pattern: str) -> list[str]:
    """Convert a Hadoop glob: expand ``{a,b}``, and replace ``[^a]`` by ``[!a]``."""
    expanded = prod(braces[1].count(",") + 1 for braces in _BRACES.finditer(pattern))
    if expanded > _MOST_PATTERNS:
        raise ConfigError(
            f"expected a file name pattern of at most {_MOST_PATTERNS} alternatives, got "
            f"{expanded}: {pattern[:80]}"
        )
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern.replace("[^", "[!")]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [
        glob
        for alternative in braces[1].split(",")
        for glob in _to_python_globs(f"{before}{alternative}{after}")
    ]
