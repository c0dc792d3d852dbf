"""Doctor: what this machine has of what a run needs, without starting Spark or TensorFlow."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from glasses_spark.errors import SetupError
from glasses_spark.java import WANTED as WANTED_JAVA
from glasses_spark.java import find_java
from glasses_spark.session import total_memory

GIB = 2**30

# A rule of thumb, not a measured bound: the JVM's heap of 1 GiB or more, and
# TensorFlow in the driver and in each worker.
MIN_MEMORY = 3 * GIB

# Spark spills and the workers spool their rows there: 16 KB a face, so this
# holds for some 50,000 faces.
MIN_DISK = 1 * GIB

# Package, lowest version wanted, first version refused: as in pyproject.toml,
# which a test compares. The pairs that break each other silently come first.
PACKAGES = (
    ("numpy", "1.26", "2"),
    ("pandas", "2.2", "3"),
    ("pyarrow", "15", "26"),
    ("pyspark", "4.0.0", "4.0.1"),
    ("elephas", "7.3.0", "7.3.1"),
    ("tensorflow", "2.19", "2.20"),
    ("keras", "3.14", "4"),
)

REINSTALL = "Install with the project's constraints: pip install -c constraints.txt -e ."


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is, such as ``Java``.
        ok: Whether a run can do with it.
        found: What is there.
        wanted: What a run needs.
        advice: What to do about it; empty where it is fine.
    """

    name: str
    ok: bool
    found: str
    wanted: str
    advice: str = ""


def run_checks() -> list[Check]:
    """Look at everything, in the order in which a run meets it.

    Returns:
        All checks, failed or not; never empty.
    """
    work = _work_folder()
    return [
        check_python(),
        check_java(),
        *check_packages(importlib.metadata.version),
        check_import("numpy and pyarrow together", "import numpy, pyarrow, pandas"),
        check_opencv(),
        check_cores(),
        check_memory(total_memory()),
        check_disk(work, shutil.disk_usage(work).free),
    ]


def render(checks: Iterable[Check]) -> str:
    """Write checks as text, a line each, with the advice below those that failed.

    Args:
        checks: What ``run_checks`` gives.

    Returns:
        Lines without a final line break; the last one sums up.
    """
    checks = list(checks)
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        mark = "ok  " if check.ok else "FAIL"
        line = f"{mark}  {check.name:<{width}}  {check.found}"
        lines.append(line if check.ok else f"{line}; wanted {check.wanted}")
        if check.advice:
            lines.append(f"      {'':<{width}}  {check.advice}")
    failed = sum(not check.ok for check in checks)
    lines.append(
        f"{failed} of {len(checks)} checks failed." if failed else "All is well: a run can start."
    )
    return "\n".join(lines)


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check the Python that runs this.

    Args:
        version: Major, minor and patch number.

    Returns:
        The check; Elephas decides which versions it accepts.
    """
    ok = (3, 11) <= version[:2] <= (3, 12)
    return Check(
        "Python",
        ok,
        f"{'.'.join(map(str, version))} ({sys.executable})",
        "3.11 or 3.12",
        "" if ok else "Make the environment with one of these: PYTHON=/path/to/python3.12 ./run",
    )


def check_java() -> Check:
    """Check that there is a Java for Spark.

    Returns:
        The check, with the place where Java was found.
    """
    try:
        java = find_java()
    except SetupError as error:
        return Check("Java", False, "none that Spark can use", WANTED_JAVA, str(error))
    return Check("Java", True, f"{java.version} (from {java.source}: {java.home})", WANTED_JAVA)


def check_packages(version_of: Callable[[str], str]) -> list[Check]:
    """Check the packages whose versions depend on each other, without importing them.

    Args:
        version_of: Gives a package's installed version, or raises
            ``PackageNotFoundError``.

    Returns:
        One check for each of ``PACKAGES``.
    """
    checks = []
    for name, lowest, refused in PACKAGES:
        try:
            found = version_of(name)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        ok = found[0].isdigit() and _numbers(lowest) <= _numbers(found) < _numbers(refused)
        checks.append(
            Check(name, ok, found, f">= {lowest} and < {refused}", "" if ok else REINSTALL)
        )
    return checks


def check_opencv() -> Check:
    """Check that OpenCV loads, in its build without windows, and only in that.

    Returns:
        The check; ``opencv-python`` needs libGL and overwrites the other build.
    """
    installed = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("opencv-python-headless", "opencv-python", "opencv-contrib-python")
        if _is_installed(name)
    ]
    wanted = "opencv-python-headless alone"
    if len(installed) > 1:
        return Check(
            "OpenCV",
            False,
            " and ".join(installed),
            wanted,
            "Uninstall all of them, then: pip install -c constraints.txt opencv-python-headless",
        )
    loads = check_import("OpenCV", "import cv2")
    found = installed[0] if installed and loads.ok else loads.found
    return Check("OpenCV", loads.ok, found, wanted, loads.advice)


def check_import(name: str, statement: str) -> Check:
    """Check that packages load, in a Python of their own: some crash instead of raising.

    Args:
        name: The name of the check.
        statement: The import to try.

    Returns:
        The check; a failure shows the last line of what Python said.
    """
    result = subprocess.run(
        [sys.executable, "-c", statement],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    if result.returncode == 0:
        return Check(name, True, "loads", f"`{statement}` works")
    lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
    return Check(name, False, lines[-1], f"`{statement}` works", REINSTALL)


def check_cores() -> Check:
    """Count the cores that this process may use.

    Returns:
        The check, which always passes: one core is slow, but enough.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("Cores", True, str(cores or 1), "1 or more")


def check_memory(total: int) -> Check:
    """Check the machine's memory.

    Args:
        total: Bytes.

    Returns:
        The check.
    """
    ok = total >= MIN_MEMORY
    advice = "Train with fewer workers: --set training.num_workers=1 --set spark.master=local[1]"
    return Check(
        "Memory",
        ok,
        f"{total / GIB:.1f} GiB",
        f"{MIN_MEMORY / GIB:.0f} GiB or more",
        "" if ok else advice,
    )


def check_disk(folder: Path, free: int) -> Check:
    """Check that there is room for Spark's and the workers' temporary files.

    Args:
        folder: Where they are written.
        free: Bytes that are free there.

    Returns:
        The check.
    """
    ok = free >= MIN_DISK
    return Check(
        "Free disk",
        ok,
        f"{free / GIB:.1f} GiB in {folder}",
        f"{MIN_DISK / GIB:.0f} GiB or more",
        "" if ok else "Make room there, or name another folder: SPARK_LOCAL_DIRS=/path",
    )


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """Give the leading whole numbers of a version: ``2.19.1rc1`` is (2, 19)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _work_folder() -> Path:
    named = Path(os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0])
    # Spark's choice without it: the JVM's java.io.tmpdir, which is not TMPDIR.
    return named if named.name and named.is_dir() else Path("/tmp")
