"""Measure: run the probes, each in a process of its own, and take their figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from glasses_spark.errors import SetupError
from glasses_spark.preflight.advise.forecast import Measured
from glasses_spark.preflight.advise.probe import Task

# A probe takes some ten seconds; one that takes this long is stuck.
PATIENCE_S: Final = 300.0

# Beyond this many counts of workers, measuring them would take too long: the ends and
# the middle are measured.
MOST_COUNTS: Final = 3


def measure(task: Task) -> tuple[Measured, int]:
    """Measure what a run will need on this machine, in some 25 seconds.

    Args:
        task: What to measure.

    Returns:
        The figures, and how many images a run uses.

    Raises:
        SetupError: A probe failed; the message has its last words.
    """
    compute, spark = (_run(kind, task) for kind in ("compute", "spark"))
    return Measured.of_probes(task.cores, compute, spark), int(spark["images"])


def counts_of_workers(cores: int) -> Sequence[int]:
    """The counts that are worth measuring: 1, 2, 4 ... up to the cores."""
    counts = [1]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    if counts[-1] != cores:
        counts.append(cores)
    if len(counts) > MOST_COUNTS:
        counts = [counts[0], counts[len(counts) // 2], counts[-1]]
    return counts


def _run(kind: str, task: Task) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="glasses-spark-") as folder:
        asked, told = Path(folder, "task.json"), Path(folder, "result.json")
        asked.write_text(json.dumps(asdict(task)))
        command = [
            sys.executable,
            "-m",
            "glasses_spark.preflight.advise.probe",
            kind,
            str(asked),
            str(told),
        ]
        # A worker never takes a GPU that was not given to it.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SetupError(
                f"measuring ({kind}) was not done after {PATIENCE_S:.0f} s. Look whether the "
                "machine is overloaded"
            ) from None
        if not told.is_file():
            words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise SetupError(
                f"measuring ({kind}) failed: {words[-1]}. `glasses-spark doctor` with the same "
                "configuration tells what is missing"
            )
        result: dict[str, Any] = json.loads(told.read_text())
        return result
