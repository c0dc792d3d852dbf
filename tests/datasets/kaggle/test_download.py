"""Tests for glasses_spark.datasets.kaggle.download; test_fetch has those with a server."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from glasses_spark.datasets.kaggle.download import download, retry_after
from glasses_spark.errors import FetchError
from glasses_spark.runtime.progress import Progress


def test_no_connection_is_named_without_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/archive.zip?signature=secret"
    pauses: list[float] = []

    with pytest.raises(FetchError) as refusal:
        download(
            lambda: address,
            tmp_path / "a",
            name="faces",
            counter=Progress().counter,
            pause=pauses.append,
        )

    assert str(refusal.value) == (
        "faces: no connection (Connection refused), and that 5 times in a row. Check the network "
        "and try again later; it goes on from what has come"
    )
    assert pauses == [2, 4, 8, 16]
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("-7", None),
        ("soon", None),
        ("9" * 400, None),
        (format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True), 0),
    ],
)
def test_how_long_to_wait_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": header}) == seconds
    assert retry_after({}) is None
