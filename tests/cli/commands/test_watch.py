"""Tests for glasses_spark.cli.commands.watch."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from glasses_spark.cli.main import main
from tests.cli.calls import Trained

DEADLINE_S = 120.0


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def rows(output: Path) -> list[dict[str, Any]]:
    table = ds.dataset(output, format="parquet", partitioning="hive").to_table()
    return sorted(table.to_pylist(), key=lambda row: row["path"])


@contextmanager
def slow_copy(content: bytes, target: Path) -> Iterator[None]:
    """Copy a file in small pieces during a block, and the rest of it afterwards."""
    stop = threading.Event()

    def copy() -> None:
        with target.open("wb", buffering=0) as file:
            position = 0
            while not stop.wait(0.05) and position < len(content) // 2:
                file.write(content[position : position + 1])
                position += 1
            file.write(content[position:])

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
def test_each_image_is_scored_once_whatever_happens(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, output = tmp_path / "photos", tmp_path / "scores"
    photos.mkdir()
    predictions = pq.read_table(trained.run / "predictions.parquet").to_pylist()
    faces = [Path(row["path"].removeprefix("file:")) for row in predictions]
    expected = {
        face.name: row["prediction"][0] for face, row in zip(faces, predictions, strict=True)
    }
    call = ["watch", str(photos), "--model", str(trained.run), "--output", str(output)]
    call += ["--settle", "0.5"]

    for face in faces[1:10]:
        shutil.copy(face, photos)
    (photos / "bad.png").write_text("not an image")
    (photos / "empty.png").touch()
    Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.png")).touch()
    with slow_copy(faces[0].read_bytes(), photos / faces[0].name):
        process = subprocess.Popen(
            [sys.executable, "-m", "glasses_spark", *call, "--interval", "0.2"],
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: (output / "batch=0").exists() or process.poll() is not None)
    for face in faces[10:20]:
        shutil.copy(face, photos)
    # While the next batch is written, or at once after it.
    until(lambda: list(output.glob("_unfinished/*")) or (output / "batch=1").exists())
    process.kill()
    _, errors = process.communicate()
    assert "Batch 0: " in errors
    for face in faces[20:]:
        shutil.copy(face, photos)

    assert main([*call, "--once"]) == 0
    found = rows(output)
    assert len({row["path"] for row in found}) == len(found) == len(faces) + 3
    scored = {Path(row["path"]).name: row for row in found if row["error"] is None}
    probabilities = {name: row["probability"] for name, row in scored.items()}
    assert probabilities == pytest.approx(expected, abs=1e-5)
    assert all(
        row["predicted_label"] == float(row["probability"] >= 0.5) for row in scored.values()
    )
    bad = {Path(row["path"]).name: row["error"] for row in found if row["error"] is not None}
    assert bad.pop(r"caf\xe9.png").startswith("the name is not valid UTF-8")
    assert bad.pop("bad.png").startswith("not a PNG file")
    assert bad == {"empty.png": "empty file"}

    # Nothing is left to do, also for another process.
    capsys.readouterr()
    assert main([*call, "--once"]) == 0
    assert rows(output) == found
    assert "Batch" not in capsys.readouterr().err


@pytest.mark.slow
def test_an_output_of_another_checkpoint_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, output = tmp_path / "photos", tmp_path / "scores"
    photos.mkdir()
    (photos / "first.png").write_text("not an image")
    call = ["watch", str(photos), "--model", str(trained.run), "--output", str(output)]
    call += ["--settle", "0", "--once"]
    assert main(call) == 0
    found = rows(output)
    (photos / "second.png").write_text("not an image")

    # Otherwise the second one would never be scored: its batch has the number of the first.
    shutil.rmtree(output / "_checkpoint")
    assert main(call) == 1
    errors = capsys.readouterr().err
    assert "batch=0 has the scores of other files" in errors
    assert "Traceback" not in errors
    assert rows(output) == found


@pytest.mark.slow
def test_a_checkpoint_may_be_copied_after_years(trained: Trained, tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "scores"
    photos.mkdir()
    call = ["watch", str(photos), "--model", str(trained.run), "--output", str(output)]
    call += ["--settle", "0", "--once"]
    for name in ("first.png", "second.png", "third.png"):
        (photos / name).write_text("not an image")
        assert main(call) == 0
        # Spark's log has the time of each announcement, and copies get new ones.
        log = output / "_checkpoint" / "stream" / "sources" / "0" / "0"
        log.write_text(re.sub(r'"timestamp":\d+', '"timestamp":1500000000000', log.read_text()))
        log.with_name(".0.crc").unlink(missing_ok=True)
        for announcement in (output / "_checkpoint" / "arrivals").iterdir():
            os.utime(announcement)
    assert [Path(row["path"]).name for row in rows(output)] == [
        "first.png",
        "second.png",
        "third.png",
    ]


@pytest.mark.slow
def test_sigterm_ends_a_watch_and_a_second_one_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, output = tmp_path / "photos", tmp_path / "scores"
    photos.mkdir()
    call = ["watch", str(photos), "--model", str(trained.run), "--output", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-m", "glasses_spark", *call], stderr=subprocess.PIPE, text=True
    )
    until(lambda: (output / "_checkpoint" / "stream").exists() or process.poll() is not None)

    assert main([*call, "--once"]) == 2
    assert "another process watches with" in capsys.readouterr().err

    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "Traceback" not in errors

    other = tmp_path / "other"
    other.mkdir()
    call[1] = str(other)
    assert main([*call, "--once"]) == 2
    assert f"was made with {photos}, got {other}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [("--interval=0", "expected a number above 0"), ("--settle=nan", "expected a number >= 0")],
)
def test_impossible_times_are_refused(
    option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["watch", "photos", "--model", "run", "--output", "out", option])
    assert message in capsys.readouterr().err
