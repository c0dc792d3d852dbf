"""Run the probes, each in a process of its own, and collect their measurements."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from glasses_spark.errors import SetupError
from glasses_spark.preflight.advise.forecast import Measurements
from glasses_spark.preflight.advise.task import Task
from glasses_spark.runtime.owned_folder import owned_folder

# A probe takes about ten seconds. One that takes this long hangs.
TIMEOUT_S: Final = 300.0

# More numbers of workers would take too long to measure.
MAX_WORKER_COUNTS: Final = 3


def measure(task: Task) -> tuple[Measurements, int]:
    """Measure this machine with the data of a run, in about 25 seconds.

    Args:
        task: What to measure.

    Returns:
        The measurements, and the number of images that a run uses.

    Raises:
        SetupError: A probe failed; the message has the last line of its output.
    """
    compute, spark = (_run(kind, task) for kind in ("compute", "spark"))
    return Measurements.of_probes(task.cores, compute, spark), int(spark["images"])


def choose_worker_counts(cores: int) -> Sequence[int]:
    """Choose the numbers of workers to measure.

    Args:
        cores: Cores that the workers share.

    Returns:
        Powers of two up to the number of cores, and that number; only the lowest, a middle
        one and the highest if these are more than three.
    """
    counts = [1]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    if counts[-1] != cores:
        counts.append(cores)
    if len(counts) > MAX_WORKER_COUNTS:
        counts = [counts[0], counts[len(counts) // 2], counts[-1]]
    return counts


def _run(kind: str, task: Task) -> dict[str, Any]:
    with owned_folder("advise") as folder:
        task_file, result_file = Path(folder, "task.json"), Path(folder, "result.json")
        task_file.write_text(task.to_json())
        probe = "glasses_spark.preflight.advise.probe"
        command = [sys.executable, "-m", probe, kind, str(task_file), str(result_file)]
        # Workers do not use a GPU unless Spark assigns one.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            process = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SetupError(
                f"the {kind} measurement timed out after {TIMEOUT_S:.0f} s. Check whether the "
                "machine is overloaded"
            ) from None
        if not result_file.is_file():
            lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
            raise SetupError(
                f"the {kind} measurement failed: {lines[-1]}. Run `glasses-spark doctor` with the "
                "same configuration to find the cause"
            )
        result: dict[str, Any] = json.loads(result_file.read_text())
        return result
