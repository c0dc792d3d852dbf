"""Format of the labels file: a CSV file with the columns ``index`` and ``label``.

This module does not import Spark: commands that run without it also read labels.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from glasses_spark.columns import MAX_ID
from glasses_spark.errors import LabelsError

CSV_COLUMNS: Final = ["index", "label"]

# The labels of 5,000 images take 44 KB. This limit allows several million rows, which the
# driver reads in seconds.
MAX_BYTES: Final = 64 * 1024 * 1024

_WHOLE_NUMBER: Final = re.compile(r"[0-9]+")
_CLASS: Final = re.compile(r"[01](\.0*)?")
_UNDEFINED: Final = ("", "nan")
_EXAMPLES: Final = 3


def parse_labels(content: bytes, name: str) -> dict[int, float | None]:
    """Parse the bytes of a labels file.

    Args:
        content: CSV text in UTF-8 with the header ``index,label``.
        name: Name of the file, for error messages.

    Returns:
        The label by index, in the order of the file: 0.0, 1.0, or None where it is
        undefined (empty or ``nan``).

    Raises:
        LabelsError: It is not such a file, an index is missing, malformed or repeated, or
            a label is neither 0, 1 nor undefined.
    """
    labels: dict[int, float | None] = {}
    examples: list[str] = []
    rows = unusable = 0
    for line, fields in _read_rows(content, name):
        rows += 1
        problem = _add_label(labels, [field.strip() for field in fields])
        if problem:
            unusable += 1
            if len(examples) < _EXAMPLES:
                examples.append(f"line {line} {','.join(fields)[:80]!r} ({problem})")
    if unusable:
        raise LabelsError(
            f"{name}: {unusable} of {rows} rows cannot be used: {'; '.join(examples)}. Each row "
            "needs a unique whole-number index and a label of 0, 1 or nothing (undefined)"
        )
    if not labels:
        raise LabelsError(f"{name}: no rows below the header. Give a file with labels")
    return labels


def check_size(length: int, name: str) -> None:
    """Raise LabelsError if a file of ``length`` bytes is too large for a labels file."""
    if length > MAX_BYTES:
        raise LabelsError(
            f"{name}: larger than {MAX_BYTES // 2**20} MB, the limit of a labels file. "
            "Give the CSV file with the columns index,label"
        )


def check_digest(content: bytes, sha256: str, *, name: str) -> None:
    """Check the SHA-256 of a labels file.

    Args:
        content: The file.
        sha256: The expected digest, 64 hex digits; empty to accept any file.
        name: Name of the file, for the error message.

    Raises:
        LabelsError: The digest differs.
    """
    digest = hashlib.sha256(content).hexdigest()
    if sha256 and digest != sha256.lower():
        raise LabelsError(
            f"{name}: found a file with the SHA-256 {digest}, wanted {sha256.lower()}. The file "
            "was changed or damaged. Get it again, or set data.labels_sha256 to the digest of "
            "the file that you trust"
        )


def redact_url(location: str) -> str:
    """Remove a password and its user from a URI, and all user data and the query from a URL."""
    parts = urlsplit(location)
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme.lower() in ("http", "https"):
        return f"{parts.scheme}://{host}{parts.path}"
    # Without a password it may be a container, as in abfss://container@account/labels.csv.
    return location.replace(f"{user}@", "", 1) if ":" in user else location


def _read_rows(content: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row below the header, which is checked."""
    try:
        # -sig: spreadsheets put a byte order mark before the header.
        text = content.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        # Empty for a blank line.
        rows = ((reader.line_num, fields) for fields in reader if fields)
        _, header = next(rows, (0, []))
        header = [field.strip() for field in header]
        if header != CSV_COLUMNS:
            raise LabelsError(
                f"{name}: expected the header {','.join(CSV_COLUMNS)!r}, got "
                f"{','.join(header)[:80]!r}. Rename the columns, or give another file"
            )
        yield from rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(
            f"{name}: not a CSV file in UTF-8 ({error}). Save it as comma-separated text"
        ) from error


def _add_label(labels: dict[int, float | None], fields: list[str]) -> str | None:
    """Add the label of one row; return what is wrong with the row, or None."""
    if len(fields) != len(CSV_COLUMNS):
        return f"{len(fields)} fields"
    index, label = fields
    if not index:
        return "no index"
    if not _WHOLE_NUMBER.fullmatch(index):
        return "index is not a whole number"
    if len(index) > 20 or int(index) > MAX_ID:
        return f"index above {MAX_ID}"
    if int(index) in labels:
        return "index repeated"
    if label.lower() in _UNDEFINED:
        labels[int(index)] = None
    elif _CLASS.fullmatch(label):
        labels[int(index)] = float(label)
    else:
        return "label is neither 0 nor 1"
    return None
