"""Tests for glasses_spark.datasets.kaggle.download, also against a local server."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from glasses_spark.datasets.kaggle.download import (
    CHUNK_BYTES,
    MAX_FAILURES,
    download,
    retry_after,
)
from glasses_spark.errors import FetchError, SetupError
from glasses_spark.runtime.progress import Progress
from tests.datasets.kaggle.fetcher import (
    FILES,
    HALF,
    Fetcher,
    contents,
    error_message,
    zip_files,
)
from tests.datasets.kaggle.kaggle_server import DATASET, Fault, KaggleServer
from tests.faces import noise_png


def test_a_refused_connection_is_an_error_without_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/archive.zip?signature=secret"
    pauses: list[float] = []

    with pytest.raises(FetchError) as error:
        download(
            lambda: address,
            tmp_path / "a",
            name="faces",
            counter=Progress().counter,
            pause=pauses.append,
        )

    assert str(error.value) == (
        "faces: no connection (Connection refused), 5 times in a row. Check the network and try "
        "again later; the download resumes where it stopped"
    )
    assert pauses == [2, 4, 8, 16]
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("-7", None),
        ("soon", None),
        ("9" * 400, None),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0),
    ],
)
def test_the_time_to_wait_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": header}) == seconds
    assert retry_after({}) is None


def test_a_missing_requests_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)

    with pytest.raises(SetupError) as error:
        download(lambda: "http://x", tmp_path / "a", name="a", counter=Progress().counter)

    assert str(error.value) == (
        "fetching files needs the package requests, which is not installed. "
        'Install it: pip install "glasses-spark[kaggle]"'
    )


def test_a_lost_connection_is_resumed(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), Fault(cut=CHUNK_BYTES)]

    answer = fetcher(tmp_path / "faces")

    assert kaggle.ranges == [None, f"bytes={HALF}-", f"bytes={HALF + CHUNK_BYTES}-"]
    assert answer["pauses"] == [2, 2]  # each attempt received something
    assert contents(tmp_path / "faces") == FILES


def test_a_new_address_is_requested_when_one_has_expired(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), Fault(status=403)]

    fetcher(tmp_path / "faces")

    assert kaggle.ranges == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert kaggle.asked.count("datasets.DatasetApiService/DownloadDataset") == 3
    assert contents(tmp_path / "faces") == FILES


def test_the_download_restarts_if_the_archive_has_changed(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), *[Fault(status=503)] * MAX_FAILURES]
    assert "503" in error_message(fetcher(tmp_path / "faces"))
    other = {"face-9.png": noise_png(seed=9), "face-8.png": noise_png(99, 99, seed=8)}
    kaggle.archive = zip_files(other)

    fetcher(tmp_path / "faces")

    assert contents(tmp_path / "faces") == other


def test_repeated_failures_are_an_error_and_the_received_bytes_are_kept(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), *[Fault(status=503)] * MAX_FAILURES]

    answer = fetcher(tmp_path / "faces")

    assert answer["pauses"] == [2, 4, 8, 16]
    assert error_message(answer).startswith(
        f"{DATASET}: the server answers 503 Service Unavailable, 5 times in a row."
    )
    assert not (tmp_path / "faces").exists()
    fetcher(tmp_path / "faces")
    assert kaggle.ranges[-1] == f"bytes={HALF}-"
    assert contents(tmp_path / "faces") == FILES


def test_a_download_with_another_checksum_is_repeated(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(damaged=True)]

    answer = fetcher(tmp_path / "faces")

    assert kaggle.ranges == [None, None]
    assert any("MD5" in line for line in answer["log"])
    assert contents(tmp_path / "faces") == FILES
