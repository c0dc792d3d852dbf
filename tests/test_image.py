"""Tests of the files that the Dockerfile copies and of the image's entry point.

The image itself is not built, because that needs a container registry.
"""

from __future__ import annotations

import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.paths import ROOT

ENTRYPOINT = ROOT / "scripts" / "kubernetes-entrypoint"

# The variables that Spark 4.0 sets in the pod of an executor on Kubernetes.
EXECUTOR = {
    "SPARK_HOME": "/opt/spark",
    "SPARK_EXECUTOR_MEMORY": "2g",
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@driver:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "8",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.7",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_NAME": "faces-exec-3",
}


def instructions() -> list[list[str]]:
    """Return the instructions of the Dockerfile as words, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def test_the_dockerfile_has_only_valid_instructions() -> None:
    known = {"ARG", "FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "ENTRYPOINT"}
    assert {words[0] for words in instructions()} == known


def test_all_files_copied_into_the_image_exist_and_are_in_its_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    included = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    sources = [
        source
        for words in instructions()
        if words[0] == "COPY" and not words[1].startswith("--from")
        for source in words[1:-1]
    ]
    assert len(sources) >= 6
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(Path(source).parts[0], pattern) for pattern in included), source


def test_the_image_does_not_run_as_root_and_starts_the_copied_entry_point() -> None:
    words = instructions()
    assert [instruction[1] for instruction in words if instruction[0] == "USER"] == ["185"]
    copied = {line[-1]: line[1] for line in words if line[0] == "COPY"}
    assert copied["/opt/entrypoint.sh"] == "scripts/kubernetes-entrypoint"
    assert words[-1] == ["ENTRYPOINT", '["/opt/entrypoint.sh"]']
    assert os.access(ENTRYPOINT, os.X_OK)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder with a ``tini`` that prints its arguments, one per line."""
    tini = tmp_path / "tini"
    tini.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    tini.chmod(0o755)
    return tmp_path


def start(commands: Path, *words: str, **environment: str) -> list[str]:
    process = subprocess.run(
        [ENTRYPOINT, *words],
        capture_output=True,
        text=True,
        env={"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", **environment},
        check=True,
    )
    assert process.stderr == ""
    return process.stdout.splitlines()


def test_an_executor_is_started_with_the_variables_of_its_pod(commands: Path) -> None:
    options = {"SPARK_JAVA_OPT_0": "-Dspark.driver.port=7078", "SPARK_JAVA_OPT_1": "-Dname=a b"}
    words = start(commands, "executor", **EXECUTOR, **options, SPARK_CLASSPATH="/more/*")
    assert words == [
        *["-s", "--", "java", "-Dspark.driver.port=7078", "-Dname=a b", "-Xms2g", "-Xmx2g"],
        *["-cp", "/opt/spark/conf:/opt/spark/jars/*:/more/*"],
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
        *["--driver-url", EXECUTOR["SPARK_DRIVER_URL"], "--executor-id", "3", "--cores", "8"],
        *["--app-id", "spark-1", "--hostname", "10.0.0.7", "--resourceProfileId", "0"],
        *["--podName", "faces-exec-3"],
    ]


def test_a_driver_is_started_by_spark_submit_in_client_mode(commands: Path) -> None:
    told = {"SPARK_HOME": "/opt/spark", "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.6"}
    words = start(commands, "driver", "--properties-file", "/told", **told)
    assert words == [
        *["-s", "--", "/opt/spark/bin/spark-submit", "--deploy-mode", "client"],
        *["--conf", "spark.driver.bindAddress=10.0.0.6", "--properties-file", "/told"],
    ]


def test_any_other_command_is_run_unchanged(commands: Path) -> None:
    assert start(commands, "glasses-spark", "doctor") == ["-s", "--", "glasses-spark", "doctor"]
