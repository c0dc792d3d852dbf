"""Tests for glasses_spark.loading.labels."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.testing import assertSchemaEqual

from glasses_spark.errors import LabelsError
from glasses_spark.loading import labels as labels_module
from glasses_spark.loading.labels import SCHEMA, read_labels
from tests.paths import REAL_LABELS

TEXT = "index,label\n1,0.0\n2,\n3,nan\n4,1.0\n"
ROWS = [(1, 0.0), (2, None), (3, None), (4, 1.0)]


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@contextmanager
def served(content: bytes, *, status: int = 200, promised: int | None = None) -> Iterator[str]:
    """Serve ``content`` on loopback; a larger ``promised`` length looks like a lost connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if promised is None else promised))
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


def test_undefined_labels_are_kept_as_null(spark: SparkSession, tmp_path: Path) -> None:
    labels = read_labels(spark, write(tmp_path / "labels.csv", TEXT))

    assertSchemaEqual(labels.schema, SCHEMA)
    assert [tuple(row) for row in labels.collect()] == ROWS


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("index,label\r\n1,0\r\n2,\r\n3,NaN\r\n4,1\r\n", id="Windows line ends"),
        pytest.param("\ufeff" + TEXT, id="byte order mark"),
        pytest.param('"index","label"\n"1","0.0"\n2,""\n3,NAN\n"4",1.00\n', id="quotes"),
        pytest.param("index, label\n1, 0.0\n2, \n3, nan\n 4 ,1.\n\n", id="spaces, blank line"),
        pytest.param("index,label\n001,0.0\n002,\n003,nan\n004,1.0", id="leading zeros, no end"),
    ],
)
def test_other_ways_to_write_the_same_labels_are_read(
    spark: SparkSession, tmp_path: Path, text: str
) -> None:
    labels = read_labels(spark, write(tmp_path / "labels.csv", text))

    assert [tuple(row) for row in labels.collect()] == ROWS


@pytest.mark.parametrize("name", ["labels.csv", "my labels [v1] {2} 100%20?.csv"])
def test_a_path_and_a_file_uri_are_read(spark: SparkSession, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path, TEXT)

    for location in (str(path), path.as_uri(), f"file:{path}"):
        assert [tuple(row) for row in read_labels(spark, location).collect()] == ROWS


def test_a_relative_path_is_one_of_the_current_folder(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "labels.csv", TEXT)
    monkeypatch.chdir(tmp_path)

    assert read_labels(spark, "labels.csv").count() == 4


def test_what_this_machine_does_not_have_is_read_through_hadoop(
    spark: SparkSession, tmp_path: Path
) -> None:
    write(tmp_path / "labels.csv", TEXT)

    # A pattern is no local file: Hadoop resolves it.
    labels = read_labels(spark, f"{tmp_path}/lab*.csv")

    assert [tuple(row) for row in labels.collect()] == ROWS


def test_a_url_is_downloaded(spark: SparkSession) -> None:
    with served(TEXT.encode()) as url:
        labels = read_labels(spark, url)

    assert [tuple(row) for row in labels.collect()] == ROWS


def test_a_url_that_answers_with_an_error_is_named_without_its_secrets(
    spark: SparkSession,
) -> None:
    with served(b"", status=404) as url, pytest.raises(LabelsError) as refusal:
        read_labels(spark, f"{url}?token=secret")

    assert str(refusal.value).startswith(f"{url}: cannot be downloaded (HTTP Error 404")
    assert "secret" not in str(refusal.value)


def test_a_server_that_is_not_there_is_named(spark: SparkSession) -> None:
    with served(b"") as url:
        pass

    with pytest.raises(LabelsError, match=r"cannot be downloaded .*refused"):
        read_labels(spark, url)


def test_a_download_that_breaks_off_is_refused(spark: SparkSession) -> None:
    # What came is well-formed: only the length tells that rows are missing.
    with (
        served(TEXT.encode(), promised=1000) as url,
        pytest.raises(LabelsError, match=f"got {len(TEXT)} of 1000 bytes"),
    ):
        read_labels(spark, url)


def test_a_file_too_large_for_labels_is_refused(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_module, "MAX_BYTES", 20)
    path = write(tmp_path / "labels.csv", TEXT)

    with served(TEXT.encode()) as url:
        for location in (path, f"{tmp_path}/lab*.csv", url):
            with pytest.raises(LabelsError, match="too large for a labels file"):
                read_labels(spark, location)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "id,label\n1,0.0\n", "expected the header 'index,label', got 'id,label'", id="header"
        ),
        pytest.param("1,0.0\n2,1.0\n", "got '1,0.0'", id="no header"),
        pytest.param("index,label,more\n1,0.0,x\n", "got 'index,label,more'", id="third column"),
        pytest.param("", "got ''", id="empty file"),
        pytest.param("index,label\n", "no rows below the header", id="no rows"),
        pytest.param(
            "index,label\n1,2.0\n",
            r"1 of 1 rows cannot be used: line 2 '1,2.0' \(label is neither 0 nor 1\)",
            id="third class",
        ),
        pytest.param("index,label\n1,yes\n", "label is neither 0 nor 1", id="label a word"),
        pytest.param("index,label\n1,0.5\n", "label is neither 0 nor 1", id="label a fraction"),
        pytest.param("index,label\n,1.0\n", r"line 2 ',1.0' \(no index\)", id="no index"),
        pytest.param("index,label\n,\n", r"line 2 ',' \(no index\)", id="neither"),
        pytest.param("index,label\n1.5,1.0\n", "index is not a whole number", id="fraction"),
        pytest.param("index,label\n-1,1.0\n", "index is not a whole number", id="negative"),
        pytest.param("index,label\n2147483648,1\n", "index above 2147483647", id="too large"),
        pytest.param("index,label\n" + "9" * 5000 + ",1\n", "index above", id="far too large"),
        pytest.param("index,label\n7\n", r"line 2 '7' \(1 fields\)", id="one field"),
        pytest.param("index,label\n7,1,1\n", r"line 2 '7,1,1' \(3 fields\)", id="three fields"),
        pytest.param(
            "index,label\n7,0.0\n8,1\n7,1.0\n", r"line 4 '7,1.0' \(index repeated\)", id="twice"
        ),
        pytest.param(
            "index,label\n7,0.0\n007,nan\n",
            r"line 3 '007,nan' \(index repeated\)",
            id="twice, once undefined",
        ),
        pytest.param(
            "index,label\n7,\n7,\n", r"line 3 '7,' \(index repeated\)", id="twice undefined"
        ),
        pytest.param('index,label\n1,"0\n', "not a CSV file", id="open quote"),
        pytest.param(b"PK\x03\x04\xff\xfe", "not a CSV file in UTF-8", id="another kind of file"),
    ],
)
def test_a_file_that_is_no_labels_file_is_refused(
    spark: SparkSession, tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = write(tmp_path / "labels.csv", text)

    with pytest.raises(LabelsError, match=message) as refusal:
        read_labels(spark, path)

    assert str(refusal.value).startswith(f"{path}: ")


def test_only_the_first_bad_rows_are_shown(spark: SparkSession, tmp_path: Path) -> None:
    rows = "".join(f"{index},2.0\n" for index in range(100))
    path = write(tmp_path / "labels.csv", f"index,label\n{rows}")

    with pytest.raises(LabelsError, match="100 of 100 rows") as refusal:
        read_labels(spark, path)

    assert str(refusal.value).count("neither 0 nor 1)") == 3


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("nowhere/labels.csv", "nowhere/labels.csv: no such file. Give the path, URI or URL"),
        ("", "no labels given: set data.labels"),
        ("nosuchfs://host/labels.csv", 'cannot be read .*No FileSystem for scheme "nosuchfs"'),
        ("http://", "cannot be downloaded"),
    ],
)
def test_a_location_where_nothing_is_is_named(
    spark: SparkSession, location: str, message: str
) -> None:
    with pytest.raises(LabelsError, match=message):
        read_labels(spark, location)


def test_a_folder_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="found an empty folder"):
        read_labels(spark, str(tmp_path))
    write(tmp_path / "a.csv", TEXT)
    write(tmp_path / "b.csv", TEXT)
    with pytest.raises(LabelsError, match="found a folder or pattern with several files"):
        read_labels(spark, str(tmp_path))


def test_another_file_than_the_sha256_says_is_refused_with_both_digests(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = write(tmp_path / "labels.csv", TEXT)
    digest = hashlib.sha256(TEXT.encode()).hexdigest()

    assert read_labels(spark, path, sha256=digest.upper()).count() == 4
    with served(TEXT.encode()) as url:
        assert read_labels(spark, url, sha256=digest).count() == 4
        with pytest.raises(LabelsError, match=f"found .* SHA-256 {digest}, wanted {'0' * 64}"):
            read_labels(spark, url, sha256="0" * 64)


@pytest.mark.skipif(not REAL_LABELS.exists(), reason=f"no real labels at {REAL_LABELS}")
def test_the_real_labels_are_2770_with_2193_without_and_37_undefined(spark: SparkSession) -> None:
    counts = read_labels(spark, str(REAL_LABELS)).groupBy("label").count().collect()

    assert {row["label"]: row["count"] for row in counts} == {1.0: 2770, 0.0: 2193, None: 37}


@pytest.mark.slow
def test_a_hundred_thousand_labels_arrive_whole(spark: SparkSession, tmp_path: Path) -> None:
    rows = "".join(f"{index},{index % 2}.0\n" for index in range(100_000))
    labels = read_labels(spark, write(tmp_path / "labels.csv", f"index,label\n{rows}"))

    assert labels.selectExpr("sum(id)", "sum(label)", "count(*)").collect()[0][:] == (
        4999950000,
        50000.0,
        100_000,
    )
