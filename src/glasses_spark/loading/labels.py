"""Reading of labels from a path, a URI or a URL into a DataFrame."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
from glasses_spark.loading.labels_file import check_digest, check_size, parse_labels, redact_url
from glasses_spark.runtime.hadoop import reason_of
from glasses_spark.runtime.location import data_path, local_path

SCHEMA: Final = StructType(
    [StructField(ID, IntegerType(), False), StructField(LABEL, DoubleType())]
)

URL_TIMEOUT_S: Final = 30.0  # without an answer
URL_DEADLINE_S: Final = 300.0  # for the whole file
_READ_BYTES: Final = 1 << 16


def read_labels(spark: SparkSession, location: str, *, sha256: str = "") -> DataFrame:
    """Read the label of each image.

    The driver reads the file and sends its rows to the executors, which need neither the
    file nor the network. A million labels take about 10 MB.

    Args:
        spark: Session that holds the labels.
        location: CSV file with the header ``index,label``: a path, which is first looked
            up on this machine and then, on a cluster, on Spark's default file system; any URI
            that Hadoop knows, or an http(s) URL.
        sha256: Expected SHA-256 of the file, 64 hex digits; empty to accept any file.

    Returns:
        One row per image, in the order of the file: ``id`` (int, unique) and ``label``
        (double, 0.0 or 1.0; null where it is undefined).

    Raises:
        LabelsError: The file cannot be read, is malformed, or is not the expected one.
    """
    return labels_frame(spark, load_labels(spark, location, sha256=sha256))


def labels_frame(spark: SparkSession, labels: Mapping[int, float | None]) -> DataFrame:
    """Return labels as a frame with the columns of ``read_labels``."""
    table = pa.table(
        [pa.array(list(labels), pa.int32()), pa.array(list(labels.values()), pa.float64())],
        names=[ID, LABEL],
    )
    return spark.createDataFrame(table, SCHEMA)


def load_labels(spark: SparkSession, location: str, *, sha256: str = "") -> dict[int, float | None]:
    """Read the labels into the driver.

    Args:
        spark: As for ``read_labels``.
        location: As for ``read_labels``.
        sha256: As for ``read_labels``.

    Returns:
        The label by id; None where it is undefined.

    Raises:
        LabelsError: As for ``read_labels``.
    """
    if not location:
        raise LabelsError("no labels given. Set data.labels to a path, URI or URL")
    name = redact_url(location)
    content = _read_bytes(spark, location, name)
    check_digest(content, sha256, name=name)
    return parse_labels(content, name)


def _read_bytes(spark: SparkSession, location: str, name: str) -> bytes:
    if urlsplit(location).scheme.lower() in ("http", "https"):
        return _download(location, name)
    path = local_path(location)
    if path and path.is_file():
        check_size(path.stat().st_size, name)
        return path.read_bytes()
    if path and path.exists() and not path.is_dir():
        # Reading a pipe would block, and a device might never end.
        raise LabelsError(f"{name}: expected a CSV file, found a pipe or device. Give a file")
    return _read_hadoop(spark, location, name)


def _download(url: str, name: str) -> bytes:
    deadline = time.monotonic() + URL_DEADLINE_S
    content = bytearray()
    try:
        with urlopen(url, timeout=URL_TIMEOUT_S) as response:
            while piece := response.read1(_READ_BYTES):
                content += piece
                check_size(len(content), name)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete after {URL_DEADLINE_S:.0f} s")
            # read1 also returns nothing when the connection is lost.
            expected = response.headers.get("Content-Length")
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise LabelsError(
            f"{name}: download failed ({error}). Check the address and the network, or "
            "download the file yourself and give its path as data.labels"
        ) from error
    if expected is not None and int(expected) != len(content):
        raise LabelsError(
            f"{name}: got {len(content)} of {expected} bytes, the connection was lost. Try again"
        )
    return bytes(content)


def _read_hadoop(spark: SparkSession, location: str, name: str) -> bytes:
    try:
        files = spark.read.format("binaryFile").load(data_path(spark, location))
        # The lengths first: selecting the content reads it.
        lengths = [row[LENGTH] for row in files.select(LENGTH).take(2)]
        if len(lengths) == 1:
            check_size(lengths[0], name)
            return bytes(files.select(CONTENT).collect()[0][CONTENT])
    except (PySparkException, Py4JJavaError) as error:
        if isinstance(error, PySparkException) and error.getCondition() == "PATH_NOT_FOUND":
            raise LabelsError(
                f"{name}: no such file. Give the path, URI or URL of the labels file as data.labels"
            ) from error
        raise LabelsError(
            f"{name}: cannot be read ({reason_of(error)}). Check the address and your "
            "permission to read it"
        ) from error
    found = "an empty folder" if not lengths else "a folder or glob with several files"
    raise LabelsError(f"{name}: expected one CSV file, found {found}. Give the path of the file")
