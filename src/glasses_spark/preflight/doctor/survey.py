"""Survey: what lies on this machine's disks as images and labels, counted without Spark.

The listing is that of Spark's ``binaryFile``, with its rules of hidden names, and the
numbers in the names are those of ``images``; a test holds both to Spark's.
"""

from __future__ import annotations

import glob as globbing
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from glasses_spark.loading.labels import MAX_BYTES, parse_labels
from glasses_spark.loading.listing import number_in
from glasses_spark.runtime.location import SCHEME, local_path

_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_EXAMPLES: Final = 3

# Files of which a survey keeps the path; all over the listing.
_SAMPLE: Final = 256


@dataclass(frozen=True)
class ImageFile:
    """One file: its path, its length in bytes, and the number in its name, if there is one."""

    path: str
    size: int
    id: int | None


@dataclass
class Found:
    """How many there are of something, and a few of them by name."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(name)

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count:,}: {', '.join(self.examples)}{more}" if self.count else "0"


@dataclass
class Survey:
    """What was found.

    Attributes:
        images: Image files.
        size: Their bytes.
        empty: Those of length 0.
        unnumbered: Those without a usable number in their name.
        repeated: Those whose number another one has, too.
        colon: Those that Hadoop cannot open, for a colon in their name.
        sample: Paths of some, all over the listing.
        labels: Rows of the labels file; None where it was not read, and so the rest is 0.
        undefined: Images whose label is undefined.
        unlabelled: Images that no row of the labels file is about.
        without_image: Rows of the labels file whose image is not there.
        with_glasses: Images labelled 1.
        without_glasses: Images labelled 0.
    """

    images: int = 0
    size: int = 0
    empty: Found = field(default_factory=Found)
    unnumbered: Found = field(default_factory=Found)
    repeated: Found = field(default_factory=Found)
    colon: Found = field(default_factory=Found)
    sample: list[str] = field(default_factory=list)
    labels: int | None = None
    undefined: Found = field(default_factory=Found)
    unlabelled: Found = field(default_factory=Found)
    without_image: Found = field(default_factory=Found)
    with_glasses: int = 0
    without_glasses: int = 0

    @property
    def labelled(self) -> int:
        """Images that a run can use."""
        return self.with_glasses + self.without_glasses


def is_elsewhere(location: str) -> bool:
    """Whether a location is a URI of something else than this machine's disks."""
    return bool(SCHEME.match(location)) and not location.startswith("file:/")


def read_local_labels(location: str) -> dict[int, float | None] | None:
    """Read labels from this machine's disk.

    Args:
        location: As for ``read_labels``.

    Returns:
        The label of each index, or None where the file is not on a disk of this machine.

    Raises:
        LabelsError: It cannot be used.
        OSError: It cannot be read.
    """
    path = local_path(location)
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        # One byte more than may be, which the parser would be too slow to refuse.
        content = file.read(MAX_BYTES + 1)
    return parse_labels(content, location)


def survey(files: Iterable[ImageFile], labels: Mapping[int, float | None] | None) -> Survey:
    """Count files, and hold them against labels.

    Args:
        files: As ``list_files`` gives them.
        labels: The label of each index; None where nobody knows.
    """
    found = Survey(labels=None if labels is None else len(labels))
    seen: set[int] = set()
    for file in files:
        name = os.path.basename(file.path)
        found.images += 1
        found.size += file.size
        _keep(found, file.path)
        if file.size == 0:
            found.empty.add(name)
        if ":" in name:
            found.colon.add(name)
        if file.id is None:
            found.unnumbered.add(name)
        elif file.id in seen:
            found.repeated.add(f"{name} ({file.id})")
        else:
            seen.add(file.id)
        if labels is not None:
            _hold_against(labels, file.id, name, found)
    for index in labels or ():
        if index not in seen:
            found.without_image.add(str(index))
    return found


def not_png(paths: Iterable[str]) -> Found:
    """Those of some files that do not begin as a PNG file does, or cannot be opened."""
    found = Found()
    for path in paths:
        try:
            with open(path, "rb") as file:
                begins = file.read(len(_SIGNATURE))
        except OSError:
            begins = b""
        if begins != _SIGNATURE:
            found.add(os.path.basename(path))
    return found


def list_files(location: str, glob: str) -> Iterator[ImageFile]:
    """List image files as Spark would, sub-folders included.

    Args:
        location: Folder, file or glob on this machine.
        glob: Pattern of the base names; case matters.

    Yields:
        The files, in no set order; none where there is no such place.
    """
    names = _expanded(glob)
    for root in _roots(location):
        for path, size in _walk(root):
            name = os.path.basename(path)
            if any(fnmatchcase(name, one) for one in names):
                yield ImageFile(path, size, number_in(name))


def _hold_against(
    labels: Mapping[int, float | None], number: int | None, name: str, found: Survey
) -> None:
    if number is None or number not in labels:
        found.unlabelled.add(name)
        return
    label = labels[number]
    if label is None:
        found.undefined.add(name)
    elif label:
        found.with_glasses += 1
    else:
        found.without_glasses += 1


def _keep(found: Survey, path: str) -> None:
    """Keep a sample whose members lie equally far apart, whatever the number of files."""
    stride = 1 << max(0, (found.images - 1) // _SAMPLE).bit_length()
    if (found.images - 1) % stride == 0:
        found.sample.append(path)
        if len(found.sample) > _SAMPLE:
            del found.sample[1::2]


def _roots(location: str) -> list[str]:
    path = local_path(location)
    if path is not None:
        return [str(path)]
    pattern = str(Path(location.removeprefix("file:")).expanduser().absolute())
    return sorted({one for each in _expanded(pattern) for one in globbing.glob(each)})


def _walk(root: str) -> Iterator[tuple[str, int]]:
    if os.path.isfile(root):
        yield root, os.path.getsize(root)
        return
    with os.scandir(root) as entries:
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if entry.is_dir():
                yield from _walk(entry.path)
            elif entry.is_file():
                yield entry.path, entry.stat().st_size


def _is_hidden(name: str) -> bool:
    """Spark's rule, in InMemoryFileIndex.shouldFilterOutPathName."""
    if name.startswith(("_common_metadata", "_metadata")):
        return False
    return (
        name.startswith(".") or name.endswith("._COPYING_") or (name[0] == "_" and "=" not in name)
    )


def _expanded(pattern: str) -> list[str]:
    """Write Hadoop's pattern in Python's: ``{a,b}`` becomes two of them, ``[^a]`` is ``[!a]``."""
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern.replace("[^", "[!")]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [whole for one in braces[1].split(",") for whole in _expanded(f"{before}{one}{after}")]
