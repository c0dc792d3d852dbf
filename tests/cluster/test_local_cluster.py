"""Spark's local-cluster: executors as processes of their own, without a master to start."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cluster.fits import PYTHONPATH, ROWS, command
from tests.cluster.standalone import SPARK, clean_environment

# A part of what the tests on a standalone cluster show, where none is to be started.
pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


def test_a_fit_in_processes_of_their_own_needs_no_cluster(tmp_path: Path) -> None:
    # Its workers write to `work` below the place where Spark is installed. So that this is
    # none but the test's own, it gets a Spark made of links to the installed one.
    home = tmp_path / "spark"
    (home / "python").mkdir(parents=True)
    for part in ("bin", "jars", "python/lib"):
        (home / part).symlink_to(SPARK / part)
    (home / "python" / "pyspark").symlink_to(SPARK)

    done = subprocess.run(
        command("local-cluster[2,1,1024]", {"mode": "synchronous", "frequency": "epoch"}),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(SPARK_HOME=str(home), PYTHONPATH=PYTHONPATH),
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["slots"] == 2
    fit = told["fits"][0]
    assert fit["rows"] == [ROWS] * 2
    assert len(fit["executors"]) == 2
    assert all(Path(one).is_relative_to(home / "work") for one in fit["folders"])
