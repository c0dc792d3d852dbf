"""Tests for glasses_spark.cli.saved_run."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.cli.saved_run import model_location
from glasses_spark.config.config import Config
from glasses_spark.config.data import StoreConfig
from glasses_spark.config.run import SparkConfig, TrackingConfig
from tests.cli.calls import Trained

_COMMANDS = """
import json, sys
from glasses_spark.cli.main import main

for command in json.loads(sys.argv[1]):
    assert main(command) == 0, command
"""


@pytest.mark.slow
def test_an_untrusted_run_folder_changes_no_spark_setting_and_no_folder(
    trained: Trained, tmp_path: Path
) -> None:
    hostile = tmp_path / "run"
    shutil.copytree(trained.run, hostile)
    config = Config.load(hostile / "config.toml")
    # The first would end the JVM at its start and write a file of the attacker's choice.
    settings = {
        "spark.driver.extraJavaOptions": f"-Xlog:all:file={tmp_path}/jvm.log -XX:NoSuchOption",
        "spark.app.name": "hostile",
    }
    config = dataclasses.replace(
        config,
        spark=SparkConfig(master="spark://127.0.0.1:9", conf=settings),
        store=StoreConfig(dir=str(tmp_path / "store")),
        run=dataclasses.replace(config.run, dir=str(tmp_path / "elsewhere")),
        tracking=TrackingConfig(mlflow=True),
    )
    (hostile / "config.toml").write_text(config.to_toml())
    image = next((trained.folder / "faces").glob("face-*.png"))
    commands = [
        ["predict", "--model", str(hostile), str(image)],
        ["evaluate", "--model", str(hostile), "--part", "test", "--no-store"],
    ]

    # In a new process: a running Spark ignores settings. One process for both commands, as
    # its start takes most of the time.
    done = subprocess.run(
        [sys.executable, "-c", _COMMANDS, json.dumps(commands)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "jvm.log").exists()
    # Spark itself creates the last two.
    allowed = {"run", "artifacts", "spark-warehouse"}
    assert {path.name for path in tmp_path.iterdir()} <= allowed


@pytest.mark.parametrize(
    ("location", "model"),
    [
        ("/runs/demo", "file:/runs/demo/model"),
        ("file:/runs/my demo", "file:/runs/my demo/model"),
        ("hdfs://host/runs/demo/", "hdfs://host/runs/demo/model"),
    ],
)
def test_the_model_of_a_run_is_at_a_uri_that_spark_can_read(location: str, model: str) -> None:
    assert model_location(location) == model
