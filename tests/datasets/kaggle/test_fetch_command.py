"""Tests of the command `fetch` in another process, with a local server."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.datasets.kaggle.fetcher import FILES, HALF, LABELS, Fetcher, contents
from tests.datasets.kaggle.kaggle_server import (
    BY_KEY,
    DATASET,
    KEY,
    LABELS_URL,
    SIGNATURE,
    Fault,
    KaggleServer,
)


def command(folder: Path, *options: str) -> list[str]:
    settings = {
        "data.dataset": DATASET,
        "data.images": str(folder / "data" / "faces"),
        "data.labels": str(folder / "data" / "labels.csv"),
        "data.labels_url": LABELS_URL,
        "data.labels_sha256": hashlib.sha256(LABELS).hexdigest(),
    }
    pairs = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "glasses_spark", "fetch", *pairs, *options]


@contextmanager
def started(folder: Path, fetcher: Fetcher, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(folder, *options),
        env={**fetcher.environment, **BY_KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


@pytest.mark.slow
def test_a_killed_fetch_is_resumed_by_the_next_and_a_third_does_nothing(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(stall=HALF)]
    part = tmp_path / "data" / ".faces.fetch" / "archive.zip.part"
    with started(tmp_path, fetcher) as process:
        assert kaggle.stalled.wait(60)
        # The sent bytes are written to the disk chunk by chunk.
        while not part.exists() or part.stat().st_size < HALF:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    received = part.stat().st_size
    assert not (tmp_path / "data" / "faces").exists()

    with started(tmp_path, fetcher, "--keep-zip") as process:
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert kaggle.ranges == [None, f"bytes={received}-"]
    assert contents(tmp_path / "data" / "faces") == FILES
    assert (tmp_path / "data" / "labels.csv").read_bytes() == LABELS
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names == {"faces", "labels.csv", "glasses-or-no-glasses.zip"}
    assert out.splitlines() == [
        f"{tmp_path}/data/labels.csv: already up to date",
        f"{tmp_path}/data/faces: 4 files, 0.00 GB; 4 fetched now",
    ]
    kaggle.asked.clear()
    with started(tmp_path, fetcher) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[1] == f"{tmp_path}/data/faces: 4 files, 0.00 GB; already complete"
    assert kaggle.asked == []


@pytest.mark.slow
def test_an_error_has_exit_code_1_and_shows_no_secret_with_debug(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(404)]

    with started(tmp_path, fetcher, "--debug") as process:
        out, err = process.communicate(timeout=60)

    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert last.startswith(f"error: {DATASET}: the server answers 404 Not Found")
    assert "Traceback" in err
    for secret in (KEY, SIGNATURE, "Authorization"):
        assert secret not in out + err
