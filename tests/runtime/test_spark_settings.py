"""Tests for glasses_spark.runtime.spark_settings; test_session.py has whole sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.runtime.spark_settings import (
    DAEMON_SETTING,
    launch_settings,
    session_settings,
)
from glasses_spark.runtime.startup import Optimization

# session_settings reads the settings of a JVM that runs already.
pytestmark = pytest.mark.usefixtures("spark")


@pytest.fixture(autouse=True)
def _no_spark_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPARK_HOME", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_the_jvm_has_its_own_folder_for_temporary_files(tmp_path: Path) -> None:
    name = "spark.driver.defaultJavaOptions"
    assert name not in launch_settings("local[2]", {}, "ERROR", [])
    settings = launch_settings("local[2]", {}, "ERROR", [], temporary=tmp_path / "a b")
    assert settings[name] == f'"-Djava.io.tmpdir={tmp_path}/a b"'


@pytest.mark.parametrize("master", [None, "local[2]", "local-cluster[2,1,1024]"])
def test_a_jvm_on_this_machine_gets_memory_and_options(master: str | None) -> None:
    settings = launch_settings(master, {}, "ERROR", [])

    assert 1024 <= int(settings["spark.driver.memory"].removesuffix("m")) <= 4096
    assert "-XX:TieredStopAtLevel=1" in settings["spark.driver.extraJavaOptions"]


def test_the_driver_of_a_cluster_keeps_sparks_defaults() -> None:
    settings = launch_settings("spark://host:7077", {}, "ERROR", [])

    assert "spark.driver.memory" not in settings
    assert "-XX:" not in settings["spark.driver.extraJavaOptions"]
    assert settings["spark.master"] == "spark://host:7077"


def test_the_callers_settings_replace_the_defaults() -> None:
    conf = {"spark.driver.memory": "700m", "spark.driver.extraJavaOptions": "-Xss4m"}

    settings = launch_settings("local[2]", conf, "ERROR", [])

    assert settings["spark.driver.memory"] == "700m"
    assert settings["spark.driver.extraJavaOptions"] == "-Xss4m"


@pytest.mark.parametrize(("level", "tasks"), [("ERROR", "off"), ("WARN", "warn"), ("INFO", "info")])
def test_failed_tasks_are_logged_below_the_level_error_only(level: str, tasks: str) -> None:
    options = launch_settings("local", {}, level, [])["spark.driver.extraJavaOptions"].split()

    assert f"-Dglassesspark.log.root={level.lower()}" in options
    assert f"-Dglassesspark.log.tasks={tasks}" in options


def test_the_users_own_files_of_spark_take_precedence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "log4j2.properties").write_text("")
    (tmp_path / "spark-defaults.conf").write_text("# ours\n\nspark.driver.memory  900m\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))

    settings = launch_settings("local[2]", {}, "ERROR", [])

    assert "spark.driver.memory" not in settings
    assert "log4j2" not in settings["spark.driver.extraJavaOptions"]


def test_the_switch_of_the_jvm_options_leaves_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Optimization.JVM_OPTIONS, "0")
    options = launch_settings("local[2]", {}, "ERROR", [])["spark.driver.extraJavaOptions"]
    assert "-XX:" not in options


@pytest.mark.parametrize(("value", "is_set"), [(None, True), ("1", True), ("0", False)])
def test_the_switch_of_the_daemon_leaves_sparks_own_daemon(
    value: str | None, is_set: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(Optimization.DAEMON, raising=False)
    if value is not None:
        monkeypatch.setenv(Optimization.DAEMON, value)

    settings = session_settings("local[2]", "app", {}, ui=False, submitted=False)

    assert settings.contains(DAEMON_SETTING) == is_set


@pytest.mark.parametrize(("master", "submitted"), [("local[2]", True), ("spark://h:7077", False)])
def test_submitted_and_cluster_sessions_use_sparks_own_daemon(master: str, submitted: bool) -> None:
    settings = session_settings(master, "app", {}, ui=False, submitted=submitted)
    assert not settings.contains(DAEMON_SETTING)
