"""Tests for glasses_spark.loading.labels."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.testing import assertSchemaEqual

from glasses_spark.errors import LabelsError
from glasses_spark.loading import labels_file
from glasses_spark.loading.labels import SCHEMA, read_labels

TEXT = "index,label\n1,0.0\n2,\n3,nan\n4,1.0\n"
ROWS = [(1, 0.0), (2, None), (3, None), (4, 1.0)]


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@contextmanager
def served(content: bytes, *, status: int = 200, length: int | None = None) -> Iterator[str]:
    """Serve ``content`` on loopback; a ``length`` above its own looks like a lost connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/labels.csv"
        finally:
            server.shutdown()
            thread.join()


def test_undefined_labels_are_null(spark: SparkSession, tmp_path: Path) -> None:
    labels = read_labels(spark, write(tmp_path / "labels.csv", TEXT))

    assertSchemaEqual(labels.schema, SCHEMA)
    assert [tuple(row) for row in labels.collect()] == ROWS


@pytest.mark.parametrize("name", ["labels.csv", "my labels [v1] {2} 100%20?.csv"])
def test_a_path_and_a_file_uri_are_read(spark: SparkSession, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path, TEXT)

    for location in (str(path), path.as_uri(), f"file:{path}"):
        assert [tuple(row) for row in read_labels(spark, location).collect()] == ROWS


def test_a_relative_path_is_resolved_in_the_current_folder(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "labels.csv", TEXT)
    monkeypatch.chdir(tmp_path)

    assert read_labels(spark, "labels.csv").count() == 4


def test_a_location_not_on_this_machine_is_read_through_hadoop(
    spark: SparkSession, tmp_path: Path
) -> None:
    write(tmp_path / "labels.csv", TEXT)

    # A glob is not a local file: Hadoop resolves it.
    labels = read_labels(spark, f"{tmp_path}/lab*.csv")

    assert [tuple(row) for row in labels.collect()] == ROWS


def test_a_url_is_downloaded(spark: SparkSession) -> None:
    with served(TEXT.encode()) as url:
        labels = read_labels(spark, url)

    assert [tuple(row) for row in labels.collect()] == ROWS


def test_an_error_of_a_server_is_shown_without_the_secrets_of_the_url(
    spark: SparkSession,
) -> None:
    with served(b"", status=404) as url, pytest.raises(LabelsError) as error:
        read_labels(spark, f"{url}?token=secret")

    assert str(error.value).startswith(f"{url}: download failed (HTTP Error 404")
    assert "secret" not in str(error.value)


def test_a_refused_connection_is_an_error(spark: SparkSession) -> None:
    with served(b"") as url:
        pass

    with pytest.raises(LabelsError, match=r"download failed .*refused"):
        read_labels(spark, url)


def test_an_interrupted_download_is_rejected(spark: SparkSession) -> None:
    # The received rows are well-formed: only the length shows that some are missing.
    with (
        served(TEXT.encode(), length=1000) as url,
        pytest.raises(LabelsError, match=f"got {len(TEXT)} of 1000 bytes"),
    ):
        read_labels(spark, url)


def test_a_file_that_is_too_large_is_rejected_from_every_source(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_file, "MAX_BYTES", 20)
    path = write(tmp_path / "labels.csv", TEXT)

    with served(TEXT.encode()) as url:
        for location in (path, f"{tmp_path}/lab*.csv", url):
            with pytest.raises(LabelsError, match=r"larger than .* the limit of a labels file"):
                read_labels(spark, location)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("nowhere/labels.csv", "nowhere/labels.csv: no such file. Give the path, URI or URL"),
        ("", "no labels given. Set data.labels"),
        ("nosuchfs://host/labels.csv", 'cannot be read .*No FileSystem for scheme "nosuchfs"'),
        ("http://", "download failed"),
    ],
)
def test_a_location_that_does_not_exist_is_an_error(
    spark: SparkSession, location: str, message: str
) -> None:
    with pytest.raises(LabelsError, match=message):
        read_labels(spark, location)


def test_a_pipe_and_a_device_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")
    for location in (str(tmp_path / "labels.csv"), "/dev/zero"):
        with pytest.raises(LabelsError, match="expected a CSV file, found a pipe or device"):
            read_labels(spark, location)


def test_a_folder_is_rejected(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="found an empty folder"):
        read_labels(spark, str(tmp_path))
    write(tmp_path / "a.csv", TEXT)
    write(tmp_path / "b.csv", TEXT)
    with pytest.raises(LabelsError, match="found a folder or glob with several files"):
        read_labels(spark, str(tmp_path))


def test_a_file_with_another_sha256_is_rejected(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", TEXT)
    digest = hashlib.sha256(TEXT.encode()).hexdigest()

    assert read_labels(spark, path, sha256=digest.upper()).count() == 4
    with served(TEXT.encode()) as url:
        assert read_labels(spark, url, sha256=digest).count() == 4
        with pytest.raises(LabelsError, match=f"found .* SHA-256 {digest}, wanted {'0' * 64}"):
            read_labels(spark, url, sha256="0" * 64)


@pytest.mark.slow
def test_a_hundred_thousand_labels_are_all_read(spark: SparkSession, tmp_path: Path) -> None:
    rows = "".join(f"{index},{index % 2}.0\n" for index in range(100_000))
    labels = read_labels(spark, write(tmp_path / "labels.csv", f"index,label\n{rows}"))

    assert labels.selectExpr("sum(id)", "sum(label)", "count(*)").collect()[0][:] == (
        4999950000,
        50000.0,
        100_000,
    )
