"""Tests of the promises of docs/security.md that no other test shows."""

from __future__ import annotations

import ast
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from tests.cli.calls import SMALL, train_in
from tests.error_sites import SOURCE
from tests.runtime.processes import clean_environment

SECRET: Final = "Zx8-not-for-others-Qv3"

# What turns bytes into objects or code. Spark's own pickles between driver and workers are Spark's.
_FORBIDDEN: Final = (
    *("pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "marshal.loads"),
    *("pickle.Unpickler", "dill.loads", "joblib.load", "yaml.load", "yaml.unsafe_load", "eval"),
    *("exec", "os.system", "shelve.open", "torch.load"),
)

# State of a socket in /proc/net/tcp that listens.
_LISTENS: Final = "0A"


@dataclass
class _Seen:
    """What others on the machine could see of a run while it ran."""

    commands: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, _Seen]:
    """A run with secrets in its configuration: its folder, its output and what was seen."""
    folder = tmp_path_factory.mktemp("secret")
    write_labels(folder / "labels.csv", make_labels(30, seed=2))
    draw_faces(folder / "labels.csv", folder / "faces", size=64, processes=1)
    (folder / "events").mkdir()
    (folder / "config.toml").write_text(
        "[spark.conf]\n"
        f'"spark.hadoop.fs.s3a.secret.key" = "{SECRET}"\n'
        f'"spark.authenticate.secret" = "{SECRET}"\n'
        '"spark.authenticate" = "true"\n'
        '"spark.eventLog.enabled" = "true"\n'
        f'"spark.eventLog.dir" = "file:{folder / "events"}"\n'
    )
    overrides = [each for each in SMALL if each != "training.mode=synchronous"]
    command = [sys.executable, "-m", "glasses_spark", *train_in(folder, *overrides)]
    seen = _Seen()
    with subprocess.Popen(
        [*command, "--config", str(folder / "config.toml"), "--verbose"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(),
    ) as process:
        output = ""
        while process.poll() is None:
            try:
                output, _ = process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                _look(process.pid, seen)
    assert process.returncode == 0, output
    return folder, output, seen


def test_a_local_run_listens_on_the_loopback_interface_only(
    run: tuple[Path, str, _Seen],
) -> None:
    _, _, seen = run
    # The JVM's gateway, Spark's driver and block manager, Python workers, the parameter server.
    assert seen.addresses
    assert seen.addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_no_secret_is_on_a_command_line(run: tuple[Path, str, _Seen]) -> None:
    _, _, seen = run
    assert any("java" in command for command in seen.commands)
    assert not [command for command in seen.commands if SECRET in command]


def test_no_secret_is_printed_or_left_in_files(run: tuple[Path, str, _Seen]) -> None:
    folder, output, _ = run
    assert SECRET not in output
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "config.toml"]
    files.append(folder / "run" / "config.toml")
    assert any(path.is_relative_to(folder / "events") for path in files)
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_received_and_saved_bytes_are_never_unpickled_or_run() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {ast.unparse(node.func)}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _FORBIDDEN
    ]
    pickles = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword)
        and node.arg in ("allow_pickle", "shell")
        and getattr(node.value, "value", None) is not False
    ]
    # Of what the same process has just pickled, to see whether it can be.
    found = [place for place in found if not place.startswith("training/keras_objects.py")]
    assert found == []
    assert pickles == []


def _look(pid: int, seen: _Seen) -> None:
    """Note the command lines and the listening addresses of a process and its descendants."""
    inodes: set[str] = set()
    for process in _descendants(pid):
        folder = Path("/proc", str(process))
        try:
            seen.commands.add((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            for descriptor in (folder / "fd").iterdir():
                inodes.add(os.readlink(descriptor))
        except OSError:
            continue  # it has ended
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and f"socket:[{fields[9]}]" in inodes:
                seen.addresses.add(_address(fields[1].partition(":")[0]))


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path("/proc", str(pid), "task").glob("*"):
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _descendants(int(child))


def _address(text: str) -> str:
    words = [struct.pack("<I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words))
