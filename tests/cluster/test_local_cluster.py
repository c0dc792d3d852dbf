"""Tests on a ``local-cluster`` master, which starts executor processes by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cluster.fits import PYTHONPATH, ROWS, command
from tests.cluster.standalone import SPARK, clean_environment

# The tests on a standalone cluster cover this as well.
pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


def test_a_fit_on_a_local_cluster_uses_two_executors(tmp_path: Path) -> None:
    # The executors write to `work` in Spark's home. A home of links to the installed Spark keeps
    # these files in the temporary folder.
    home = tmp_path / "spark"
    (home / "python").mkdir(parents=True)
    for part in ("bin", "jars", "python/lib"):
        (home / part).symlink_to(SPARK / part)
    (home / "python" / "pyspark").symlink_to(SPARK)

    process = subprocess.run(
        command("local-cluster[2,1,1024]", {"mode": "synchronous", "frequency": "epoch"}),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(SPARK_HOME=str(home), PYTHONPATH=PYTHONPATH),
        timeout=200,
        check=False,
    )

    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert result["slots"] == 2
    fit = result["fits"][0]
    assert fit["rows"] == [ROWS] * 2
    assert len(fit["executors"]) == 2
    assert all(Path(folder).is_relative_to(home / "work") for folder in fit["folders"])
