"""Tests of a Spark that is started by a user without a name, beside files that hide modules."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.paths import ROOT
from tests.runtime.processes import clean_environment, run

# A user id without an entry in the user database. In a user namespace, so that the user may
# read the files of this one.
NAMELESS = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]


@cache
def can_map_users() -> bool:
    try:
        return subprocess.run([*NAMELESS, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.rotated
def test_a_file_that_hides_a_module_from_the_workers_of_any_session_is_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('not meant')\n")
    program = str(ROOT / "tests" / "runtime" / "plain_sessions.py")
    done = run(
        [sys.executable, program, "local[1]", ""],
        cwd=tmp_path,
        PYTHONPATH=f"{ROOT / 'src'}:{ROOT}",
    )

    kind, message = json.loads(done.stdout.splitlines()[-1])
    assert kind == "SetupError"
    assert message.endswith(
        f"{tmp_path}/random.py was imported in place of the module of that name. Rename it"
    )


@pytest.mark.slow
def test_spark_works_in_an_odd_place(tmp_path: Path) -> None:
    for name in ("random", "numpy", "keras", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not meant')\n")
    (tmp_path / "mine.py").write_text("ANSWER = 42\n")
    environment = clean_environment(
        PYTHONPATH=f"{ROOT / 'src'}:{ROOT}",
        PYTHONSAFEPATH="",
        PYSPARK_DRIVER_PYTHON="jupyter",
        PYSPARK_SUBMIT_ARGS="--conf spark.ui.enabled=false",
        SPARK_CONF_DIR=str(tmp_path / "none"),
        JAVA_TOOL_OPTIONS="-Dx=y",
        TZ="No/Where",
    )
    for name in ("HOME", "USER", "LOGNAME", "HADOOP_USER_NAME", "PYTHONSAFEPATH"):
        environment.pop(name, None)
    nameless = NAMELESS if can_map_users() else []
    done = subprocess.run(
        [*nameless, sys.executable, str(ROOT / "tests" / "runtime" / "odd_place.py")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    user, found = json.loads(done.stdout.splitlines()[-1])
    assert found == f"{random.__file__} {np.__file__} 42"
    if nameless:
        assert user == "uid-54321"
