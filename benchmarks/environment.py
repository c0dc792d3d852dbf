"""Read and write result files, with the machine and versions of each measurement."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

from glasses_spark.runtime.class_archive import archive_path
from glasses_spark.runtime.java import find_java

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    *("tensorflow", "keras", "pyspark", "elephas", "numpy", "pyarrow"),
    *("opencv-python-headless", "isal", "kornia-rs"),
)


def describe(benchmark: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header of a result: benchmark, settings, machine, versions and commit."""
    call = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(
        call, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    ).stdout.strip()
    return {
        "benchmark": benchmark,
        "settings": dict(settings),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": _processor(),
            "python": platform.python_version(),
            "packages": {name: version(name) for name in PACKAGES},
        },
        "commit": commit,
    }


def write_result(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result to ``results/`` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def read_result(name: str) -> Any:
    """Read a result from ``results/``."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def format_or_dash(value: float | None, form: str) -> str:
    """Format a number for a table; a missing one becomes a dash."""
    return "-" if value is None else form.format(value)


def has_class_archive() -> bool:
    """Return whether the JVM of Spark has a class archive, as after several runs."""
    jars = Path(str(distribution("pyspark").locate_file("pyspark/jars")))
    return archive_path(find_java(), jars).is_file()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
