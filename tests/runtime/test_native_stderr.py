"""Tests for glasses_spark.runtime.native_stderr, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.runtime.native_stderr import VARIABLE
from tests.runtime.processes import clean_environment
from tests.runtime.processes import run as run_in

# Writes to file descriptor 2 itself, as native code does, while TensorFlow is imported.
WRITE_DURING_IMPORT = """
import os, sys, threading
from glasses_spark.runtime.keras import import_keras

thread = threading.Thread(target=import_keras)
thread.start()
written = 0
while thread.is_alive():
    os.write(2, b"native\\n")
    sys.stderr.write("python\\n")
    written += 1
    thread.join(0.2)
print(written)
"""

WRITE_AFTER_IMPORT = """
import os
from glasses_spark.runtime.keras import import_keras

import_keras()
files = [open(os.devnull) for _ in range(20)]  # they take the free descriptors
import absl.logging

absl.logging.get_absl_handler().python_handler.stream.write("late message\\n")
"""

REPLACE_DURING_BLOCK = """
import io, sys
from glasses_spark.runtime.native_stderr import native_stderr_discarded

with native_stderr_discarded():
    replacement = sys.stderr = io.StringIO()
print(sys.stderr is replacement)
"""

CLOSED = """
import os, sys
from glasses_spark.runtime.native_stderr import native_stderr_discarded

os.close(2)
with native_stderr_discarded():
    print("done")
"""

FIT_IN_PYTEST = """
import os

def test_a_fit_leaves_file_descriptor_2_alone():
    import numpy as np
    from glasses_spark import build_estimator, build_model, build_session
    from glasses_spark.runtime.keras import import_keras

    file = os.fstat(2)
    os.write(2, b"before\\n")
    keras = import_keras()
    os.write(2, b"after the import\\n")
    with_spark = build_session(master="local[1]")
    layers = [keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")]
    model = build_model(layers, "sgd", metrics=())
    rows = [([float(n), 1.0], float(n % 2)) for n in range(4)]
    frame = with_spark.createDataFrame(rows, "features array<float>, label double")
    build_estimator(model, 1, 2, categorical=False, num_workers=1).fit(frame)
    with_spark.stop()
    os.write(2, b"after the fit\\n")
    assert (os.fstat(2).st_dev, os.fstat(2).st_ino) == (file.st_dev, file.st_ino)
"""


def run(script: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=clean_environment(CUDA_VISIBLE_DEVICES="-1", PYTHONWARNINGS="ignore", **extra),
    )


def test_an_import_of_the_package_is_silent_with_warnings_as_errors() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import glasses_spark"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.slow
@pytest.mark.rotated
def test_the_library_leaves_file_descriptor_2_alone_during_an_import() -> None:
    done = run(WRITE_DURING_IMPORT)
    written = int(done.stdout)
    assert written > 2
    # TensorFlow's own messages may stand beside them.
    lines = done.stderr.splitlines()
    assert lines.count("native") == lines.count("python") == written


@pytest.mark.slow
@pytest.mark.rotated
def test_a_fit_in_pytest_without_capturing_leaves_file_descriptor_2_alone(tmp_path: Path) -> None:
    (tmp_path / "test_fit.py").write_text(FIT_IN_PYTEST)

    done = run_in(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:capture", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        CUDA_VISIBLE_DEVICES="-1",
    )

    assert done.returncode == 0, done.stdout
    lines = done.stderr.splitlines()
    positions = [lines.index(line) for line in ("before", "after the import", "after the fit")]
    assert positions == sorted(positions)


@pytest.mark.slow
@pytest.mark.rotated
def test_a_process_that_asks_for_it_is_silent_and_its_python_code_is_not() -> None:
    done = run(WRITE_DURING_IMPORT, **{VARIABLE: "0"})
    written = int(done.stdout)
    lines = done.stderr.splitlines()
    assert lines.count("python") == written
    # The first line, and the last, may be written while the descriptor is as before.
    assert lines.count("native") <= 2
    assert set(lines) <= {"python", "native"}  # nothing of TensorFlow


@pytest.mark.slow
@pytest.mark.rotated
def test_messages_after_the_import_reach_standard_error() -> None:
    assert run(WRITE_AFTER_IMPORT, **{VARIABLE: "0"}).stderr == "late message\n"


def test_a_replacement_of_standard_error_within_the_block_stays() -> None:
    assert run(REPLACE_DURING_BLOCK, **{VARIABLE: "0"}).stdout == "True\n"


def test_a_closed_descriptor_stays_closed() -> None:
    assert run(CLOSED, **{VARIABLE: "0"}).stdout == "done\n"


@pytest.mark.slow
@pytest.mark.rotated
def test_the_command_line_asks_for_it() -> None:
    program = (
        "import os\n"
        "from glasses_spark.cli.commands import doctor\n"
        "from glasses_spark.cli.main import program\n"
        f"doctor.run = lambda arguments: print(os.environ[{VARIABLE!r}])\n"
        "program(['doctor', *{options}])\n"
    )
    assert run(program.format(options=[])).stdout == "0\n"
    assert run(program.format(options=["--debug"])).stdout == "1\n"
    assert run(program.format(options=[]), **{VARIABLE: "1"}).stdout == "1\n"
