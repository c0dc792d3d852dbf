"""Programs in a Python process of their own, and a Spark installation for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def clean_environment(**extra: str) -> dict[str, str]:
    """Return this process's variables without those that change how Spark starts."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SPARK_", "PYSPARK_", "JAVA_HOME", "GLASSES_SPARK_"))
    }
    # As ./run does: Spark's scripts look for python3 and pyspark on PATH.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment | extra


def run(command: list[str], *, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a clean environment, and capture its output."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=clean_environment(**extra),
        timeout=200,
        check=False,
    )


def lay_out_spark(home: Path) -> None:
    """Lay out the folders of the installed Spark as in a distribution."""
    import pyspark

    installed = Path(pyspark.__file__).parent
    home.mkdir()
    for part in ("bin", "jars", "python/lib"):
        (home / part).parent.mkdir(exist_ok=True)
        (home / part).symlink_to(installed / part)
    (home / "python" / "pyspark").symlink_to(installed)
    (home / "conf").mkdir()
