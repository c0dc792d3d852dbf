"""Count the images and labels on this machine's disks, without Spark.

The listing follows the rules of Spark's ``binaryFile`` for hidden names, and the ids in the
names are those of ``glasses_spark.loading``. A test compares both with Spark.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from glasses_spark.loading.disk_files import disk_name, is_utf8, list_disk
from glasses_spark.loading.labels_file import MAX_BYTES, parse_labels
from glasses_spark.loading.listing import number_in
from glasses_spark.printable import printable
from glasses_spark.runtime.location import local_path

_MAX_EXAMPLES: Final = 3

# Paths that a survey keeps as a sample, spread evenly over the listing.
_SAMPLE: Final = 256


@dataclass(frozen=True)
class ImageFile:
    """An image file.

    Attributes:
        path: Its path.
        size: Its length in bytes.
        id: The number in its name; None without one.
    """

    path: str
    size: int
    id: int | None


@dataclass
class Tally:
    """A count, and the first few names that were counted."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one more name."""
        self.count += 1
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(name)

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return (
            f"{self.count:,}: {', '.join(map(printable, self.examples))}{more}"
            if self.count
            else "0"
        )


@dataclass
class Survey:
    """Counts of the images and labels.

    Attributes:
        images: Image files.
        size: Their total length in bytes.
        empty: Files of length 0.
        unnumbered: Files without a usable number in their name.
        repeated: Files with the number of an earlier file.
        colon: Files with a colon in their name, which Hadoop cannot open.
        not_utf8: Files whose path is not valid UTF-8, which a run quarantines.
        sample: Paths of some files, spread evenly over the listing.
        labels: Rows of the labels file; None if it was not read. The counts below are
            then 0.
        undefined: Images whose label is undefined.
        unlabelled: Images without a row in the labels file.
        without_image: Rows of the labels file without an image.
        with_glasses: Images with the label 1.
        without_glasses: Images with the label 0.
    """

    images: int = 0
    size: int = 0
    empty: Tally = field(default_factory=Tally)
    unnumbered: Tally = field(default_factory=Tally)
    repeated: Tally = field(default_factory=Tally)
    colon: Tally = field(default_factory=Tally)
    not_utf8: Tally = field(default_factory=Tally)
    sample: list[str] = field(default_factory=list)
    labels: int | None = None
    undefined: Tally = field(default_factory=Tally)
    unlabelled: Tally = field(default_factory=Tally)
    without_image: Tally = field(default_factory=Tally)
    with_glasses: int = 0
    without_glasses: int = 0

    @property
    def labelled(self) -> int:
        """Images that a run can use."""
        return self.with_glasses + self.without_glasses


def read_local_labels(location: str) -> dict[int, float | None] | None:
    """Read labels from this machine's disks.

    Args:
        location: As for ``read_labels``.

    Returns:
        The label of each index; None if the file is not on this machine.

    Raises:
        LabelsError: The content is invalid.
        OSError: The file cannot be read.
    """
    path = local_path(location)
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        # One byte over the limit is enough for the parser to reject the file.
        content = file.read(MAX_BYTES + 1)
    return parse_labels(content, location)


def survey(files: Iterable[ImageFile], labels: Mapping[int, float | None] | None) -> Survey:
    """Count files and match them with labels.

    Args:
        files: As from ``list_files``.
        labels: The label of each index; None if unknown.
    """
    result = Survey(labels=None if labels is None else len(labels))
    seen: set[int] = set()
    for file in files:
        _count_file(result, file, seen)
        if labels is not None:
            _count_label(result, file, labels)
    for index in labels or ():
        if index not in seen:
            result.without_image.add(str(index))
    return result


def undecodable(paths: Iterable[str]) -> Tally:
    """Count the files that a run cannot decode, by the function with which it decodes."""
    # Imported here, because it imports OpenCV.
    import pyarrow as pa

    from glasses_spark.preprocessing.decoding.batches import decode_column, read_path

    tally = Tally()
    for path in paths:
        _, (error,) = decode_column(pa.array([path]), 128, 128, read_path)
        if error is not None:
            tally.add(f"{os.path.basename(path)} ({error})")
    return tally


def list_files(location: str, glob: str) -> Iterator[ImageFile]:
    """List image files as a run does; see ``list_disk``.

    Args:
        location: Folder, file or glob on this machine.
        glob: Pattern of the base names; case-sensitive.
    """
    for path in list_disk(location, glob):
        size = os.stat(disk_name(path)).st_size
        yield ImageFile(path, size, number_in(os.path.basename(path)))


def _count_file(result: Survey, file: ImageFile, seen: set[int]) -> None:
    name = os.path.basename(file.path)
    result.images += 1
    result.size += file.size
    if is_utf8(file.path):
        _sample(result, file.path)
    if file.size == 0:
        result.empty.add(name)
    if not is_utf8(file.path):
        # A run has no label for it, and compares its number with no other.
        result.not_utf8.add(name)
        return
    if ":" in name:
        result.colon.add(name)
    if file.id is None:
        result.unnumbered.add(name)
    elif file.id in seen:
        result.repeated.add(f"{name} ({file.id})")
    else:
        seen.add(file.id)


def _count_label(result: Survey, file: ImageFile, labels: Mapping[int, float | None]) -> None:
    name = os.path.basename(file.path)
    if not is_utf8(file.path):
        return
    if file.id is None or file.id not in labels:
        result.unlabelled.add(name)
        return
    label = labels[file.id]
    if label is None:
        result.undefined.add(name)
    elif label:
        result.with_glasses += 1
    else:
        result.without_glasses += 1


def _sample(result: Survey, path: str) -> None:
    """Add each path at a stride that doubles as the listing grows, so the sample stays even."""
    stride = 1 << max(0, (result.images - 1) // _SAMPLE).bit_length()
    if (result.images - 1) % stride == 0:
        result.sample.append(path)
        if len(result.sample) > _SAMPLE:
            del result.sample[1::2]
