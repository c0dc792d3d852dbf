"""Labels: which image shows glasses, read from a CSV file."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DoubleType, IntegerType, StructField, StructType

from glasses_spark.columns import CONTENT, ID, LABEL, LENGTH
from glasses_spark.errors import LabelsError
from glasses_spark.runtime.location import local_path, spark_path

CSV_COLUMNS: Final = ["index", "label"]
SCHEMA: Final = StructType(
    [StructField(ID, IntegerType(), False), StructField(LABEL, DoubleType())]
)

# The labels of the 5,000 faces take 44 KB; this holds several million rows, which
# is what a driver still reads in seconds.
MAX_BYTES: Final = 64 * 1024 * 1024

URL_TIMEOUT_S: Final = 30.0  # without any answer
URL_DEADLINE_S: Final = 300.0  # for the whole file

_WHOLE_NUMBER: Final = re.compile(r"[0-9]+")
_CLASS: Final = re.compile(r"[01](\.0*)?")
_UNDEFINED: Final = ("", "nan")
_MAX_ID: Final = 2**31 - 1
_EXAMPLES: Final = 3


def read_labels(spark: SparkSession, location: str, *, sha256: str = "") -> DataFrame:
    """Read the label of each image.

    The file is read in the driver, from wherever it is, and its rows go to the
    executors from there: they need neither the file nor the network. It is small
    beside the images: a million labels take about 10 MB.

    Args:
        spark: Session that takes the labels.
        location: CSV file with the header ``index,label``: a path, which is looked
            for on this machine first, any URI that Hadoop knows, or an http(s) URL.
        sha256: What the SHA-256 of the file must be, 64 hex digits; empty for any.

    Returns:
        One row an image, in the order of the file: ``id`` (int, unique) and
        ``label`` (double; 1.0 with glasses, 0.0 without, null where the file has an
        empty label or ``nan``: nobody could tell).

    Raises:
        LabelsError: The file is missing, cannot be read or has another header; an
            index is missing, malformed, too large or repeated; a label is neither
            0 nor 1; there is no row at all; the SHA-256 is another one.
    """
    return labels_frame(spark, label_of_each(spark, location, sha256=sha256))


def labels_frame(spark: SparkSession, labels: Mapping[int, float | None]) -> DataFrame:
    """The frame of ``read_labels`` for what ``label_of_each`` read."""
    table = pa.table(
        [pa.array(list(labels), pa.int32()), pa.array(list(labels.values()), pa.float64())],
        names=[ID, LABEL],
    )
    return spark.createDataFrame(table, SCHEMA)


def label_of_each(
    spark: SparkSession, location: str, *, sha256: str = ""
) -> dict[int, float | None]:
    """Read the labels into the driver: label by id; the rest as for ``read_labels``."""
    if not location:
        raise LabelsError("no labels given: set data.labels to a path, URI or URL")
    name = without_secrets(location)
    content = _read_bytes(spark, location, name)
    check_digest(content, sha256, name=name)
    return parse_labels(content, name)


def check_digest(content: bytes, sha256: str, *, name: str) -> None:
    """Refuse another labels file than the one whose SHA-256 is known.

    Args:
        content: The file.
        sha256: 64 hex digits; empty where it is not known.
        name: Of the file, for the message.

    Raises:
        LabelsError: It is another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256.lower():
        raise LabelsError(
            f"{name}: found a file with the SHA-256 {found}, wanted {sha256.lower()}: it was "
            "changed, or broken on its way. Get it anew, or set data.labels_sha256 to the one "
            "that you trust"
        )


def _read_bytes(spark: SparkSession, location: str, name: str) -> bytes:
    if urlsplit(location).scheme.lower() in ("http", "https"):
        return _download(location, name)
    path = local_path(location)
    if path and path.is_file():
        check_size(path.stat().st_size, name)
        return path.read_bytes()
    return _read_hadoop(spark, location, name)


def _download(url: str, name: str) -> bytes:
    deadline = time.monotonic() + URL_DEADLINE_S
    content = bytearray()
    try:
        with urlopen(url, timeout=URL_TIMEOUT_S) as response:
            while piece := response.read1(1 << 16):
                content += piece
                check_size(len(content), name)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete after {URL_DEADLINE_S:.0f} s")
            # read1 returns nothing when the connection is lost, too.
            expected = response.headers.get("Content-Length")
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise LabelsError(
            f"{name}: cannot be downloaded ({error}). Check the address and the network, or "
            "download it by hand and give its path as data.labels"
        ) from error
    if expected is not None and int(expected) != len(content):
        raise LabelsError(
            f"{name}: got {len(content)} of {expected} bytes, the connection was lost. Try again"
        )
    return bytes(content)


def _read_hadoop(spark: SparkSession, location: str, name: str) -> bytes:
    try:
        files = spark.read.format("binaryFile").load(spark_path(location))
        # The lengths first: asking for the content reads it.
        lengths = [row[LENGTH] for row in files.select(LENGTH).take(2)]
        if len(lengths) == 1:
            check_size(lengths[0], name)
            return bytes(files.select(CONTENT).collect()[0][CONTENT])
    except (PySparkException, Py4JJavaError) as error:
        if isinstance(error, PySparkException) and error.getCondition() == "PATH_NOT_FOUND":
            raise LabelsError(
                f"{name}: no such file. Give the path, URI or URL of the labels file as data.labels"
            ) from error
        reason = str(getattr(error, "java_exception", error)).strip().splitlines()[0]
        raise LabelsError(
            f"{name}: cannot be read ({reason}). Check the address and the right to read it"
        ) from error
    found = "an empty folder" if not lengths else "a folder or pattern with several files"
    raise LabelsError(f"{name}: expected one CSV file, found {found}. Give the file itself")


def check_size(length: int, name: str) -> None:
    """Refuse a file that is too large for labels, by its length in bytes."""
    if length > MAX_BYTES:
        raise LabelsError(
            f"{name}: more than {MAX_BYTES // 2**20} MB, too large for a labels file. "
            "Give the CSV file with the columns index,label"
        )


def parse_labels(content: bytes, name: str) -> dict[int, float | None]:
    """Turn the bytes of the file into labels by id; the rest as for ``read_labels``."""
    try:
        # -sig: spreadsheets put a byte order mark before the header.
        text = content.decode("utf-8-sig")
        lines = list(_lines(text))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(
            f"{name}: not a CSV file in UTF-8 ({error}). Save it as comma-separated text"
        ) from error
    header = [field.strip() for field in lines[0][1]] if lines else []
    if header != CSV_COLUMNS:
        raise LabelsError(
            f"{name}: expected the header {','.join(CSV_COLUMNS)!r}, got "
            f"{','.join(header)[:80]!r}. Rename the columns, or give another file"
        )
    labels: dict[int, float | None] = {}
    problems = []
    for number, fields in lines[1:]:
        problem = _add(labels, [field.strip() for field in fields])
        if problem:
            problems.append(f"line {number} {','.join(fields)[:80]!r} ({problem})")
    if problems:
        raise LabelsError(
            f"{name}: {len(problems)} of {len(lines) - 1} rows cannot be used: "
            f"{'; '.join(problems[:_EXAMPLES])}. Expected a whole-number index, once each, and a "
            "label of 0 or 1, or an empty label where nobody can tell"
        )
    if not labels:
        raise LabelsError(f"{name}: no rows below the header. Give a file with labels")
    return labels


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for fields in reader:
        if fields:  # a blank line is no row
            yield reader.line_num, fields


def _add(labels: dict[int, float | None], fields: list[str]) -> str | None:
    """Add one row to the labels, or return what is wrong with it."""
    if len(fields) != len(CSV_COLUMNS):
        return f"{len(fields)} fields"
    index, label = fields
    if not index:
        return "no index"
    if not _WHOLE_NUMBER.fullmatch(index):
        return "index is not a whole number"
    if len(index) > 20 or int(index) > _MAX_ID:
        return f"index above {_MAX_ID}"
    if int(index) in labels:
        return "index repeated"
    if label.lower() in _UNDEFINED:
        labels[int(index)] = None
    elif _CLASS.fullmatch(label):
        labels[int(index)] = float(label)
    else:
        return "label is neither 0 nor 1"
    return None


def without_secrets(location: str) -> str:
    """Leave out of a URL what may open a door: user, password and query."""
    parts = urlsplit(location)
    if parts.scheme.lower() not in ("http", "https"):
        return location
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
