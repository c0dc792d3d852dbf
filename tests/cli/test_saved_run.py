"""Tests for glasses_spark.cli.saved_run."""

from __future__ import annotations

import dataclasses
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


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_an_untrusted_run_folder_changes_no_spark_setting_and_no_folder(
    trained: Trained, tmp_path: Path, command: str
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
    options = [str(image)] if command == "predict" else ["--part", "test", "--no-store"]

    # In a new process: a running Spark ignores settings.
    done = subprocess.run(
        [sys.executable, "-m", "glasses_spark", command, "--model", str(hostile), *options],
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
