"""Tests of a fit's secrets: where the private key of its workers can be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.runtime.processes import run
from tests.training.watched_fit import KEY, places


@pytest.mark.slow
def test_the_key_of_the_workers_is_in_no_file_log_command_or_variable(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.watched_fit", str(tmp_path)]
    done = run(command, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"key": [], "left": []}
    assert KEY.decode() not in done.stdout + done.stderr
    events = [path for path in (tmp_path / "events").rglob("*") if path.is_file()]
    assert any(b"SparkListenerJobStart" in path.read_bytes() for path in events)
    assert places(tmp_path) == []
