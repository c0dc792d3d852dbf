"""Tests for glasses_spark.scorer.photos and glasses_spark.scorer.decoder_process."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from glasses_spark.scorer.decoder_process import DecoderProcess
from glasses_spark.scorer.photo import Photo, decode_photo
from glasses_spark.scorer.photos import read_photos
from tests.faces import noise_png

SIDE = 12
PHOTOS = 80


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    """Enough files for other processes; one is truncated, one is missing, one named oddly."""
    found = []
    for index in range(PHOTOS):
        path = tmp_path / f"{index:02}.png"
        path.write_bytes(noise_png(SIDE, SIDE, seed=index))
        found.append(str(path))
    truncated = Path(found[3])
    truncated.write_bytes(truncated.read_bytes()[:-20])
    Path(found[5]).unlink()
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9 \n.png")
    os.rename(found[7], odd)
    found[7] = odd
    return found


def read(names: list[str], *, threads: int = 2) -> Iterator[Photo]:
    return read_photos(names, height=SIDE, width=SIDE, threads=threads)


def contents(photos: list[Photo]) -> list[tuple[str, bytes | None, str | None]]:
    return [(p.name, None if p.pixels is None else p.pixels.tobytes(), p.error) for p in photos]


def expected(names: list[str]) -> list[tuple[str, bytes | None, str | None]]:
    """What one process makes of them."""
    return contents(list(read(names, threads=1)))


def decoders() -> list[int]:
    """Return the ids of the running processes that decode."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    children = [int(pid) for file in tasks.glob("*/children") for pid in file.read_text().split()]
    return [
        pid for pid in children if b"decoder_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_other_processes_decode_the_same(names: list[str]) -> None:
    # In this process at first, and in others when they have started.
    many = names * 50
    assert contents(list(read(many))) == expected(names) * 50
    assert [name for name, pixels, _ in expected(names) if pixels is None] == [names[3], names[5]]
    assert not decoders()


def test_other_processes_take_over(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, seen = tmp_path / "path", tmp_path / "seen"
    folder.mkdir()
    # Python imports it when it starts.
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def hook(event, args):\n"
        "    named = isinstance(args[0], (str, bytes)) if event == 'open' else False\n"
        f"    if named and os.fsdecode(args[0]) == {names[0]!r}:\n"
        f"        os.close(os.open({str(seen)!r}, os.O_CREAT))\n"
        "sys.addaudithook(hook)\n"
    )
    monkeypatch.syspath_prepend(folder)
    assert any(seen.exists() for _ in read(names * 10_000))


def test_standard_input_is_read_here(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    content = noise_png(SIDE, SIDE, seed=500)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    photo = list(read([*names, "-"]))[-1]
    wanted = decode_photo("-", lambda: content, height=SIDE, width=SIDE)
    assert photo.pixels is not None
    assert wanted.pixels is not None
    assert np.array_equal(photo.pixels, wanted.pixels)


def test_killed_processes_lose_no_photograph(names: list[str]) -> None:
    photos = read(names)
    found = [next(photos)]
    running = decoders()
    assert len(running) == 2
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    assert contents([*found, *photos]) == expected(names)
    assert not decoders()


def test_a_killed_process_is_started_again(names: list[str]) -> None:
    with DecoderProcess(SIDE, SIDE) as process:
        process.wait_until_ready()
        first = process.decode(names[0])
        (running,) = decoders()
        os.kill(running, signal.SIGKILL)
        assert contents([first, process.decode(names[1])]) == expected(names[:2])
    assert not decoders()


def test_an_iteration_that_nobody_ends_leaves_no_process(names: list[str]) -> None:
    photos = read(names)
    next(photos)
    assert decoders()
    del photos
    assert not decoders()


def test_a_file_at_which_the_process_ends_is_an_error(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    # Python imports it when it starts.
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def hook(event, args):\n"
        "    named = isinstance(args[0], (str, bytes)) if event == 'open' else False\n"
        f"    if named and os.fsdecode(args[0]) == {names[10]!r}:\n"
        "        os._exit(9)\n"
        "sys.addaudithook(hook)\n"
    )
    monkeypatch.syspath_prepend(folder)
    wanted = expected(names)
    wanted[10] = (names[10], None, "the decoder failed: its process ended with exit code 9")
    with DecoderProcess(SIDE, SIDE) as process:
        process.wait_until_ready()
        assert contents([process.decode(name) for name in names]) == wanted


def test_without_processes_the_threads_decode(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert contents(list(read(names))) == expected(names)
