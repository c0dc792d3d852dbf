"""Tests that no bytes of a stranger end in anything but an error of this library."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.targets import TARGETS, target_named
from tests.paths import ROOT
from tests.rotation import PARTS, part

# Inputs that once showed a fault, or that are worth a test, by target.
INPUTS: Final = Path(__file__).parent / "inputs"

# Of each target in a test run; `benchmarks/fuzz.py` takes ten minutes of each.
SECONDS: Final = 4


@pytest.mark.parametrize("name", TARGETS)
def test_legal_inputs_and_those_that_showed_faults_pass(name: str) -> None:
    target = target_named(name)
    kept = [path.read_bytes() for path in sorted((INPUTS / name).glob("*"))]
    with target.opened() as check:
        for data in [*target.seeds(), b"", *kept]:
            check(data)


# The targets that this commit fuzzes.
DUE: Final = list(TARGETS)[part() :: PARTS]


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs Atheris")
@pytest.mark.parametrize("name", DUE)
def test_changed_inputs_pass(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.fuzz_one", name, "--seconds", str(SECONDS)]
    done = subprocess.run(
        [*command, "--crashes", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
