"""Tests for glasses_spark.cli.commands.evaluate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from glasses_spark.cli.main import main
from glasses_spark.config.config import Config
from tests.cli.calls import Trained, assert_about_equal, metrics_of


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "test"])
def test_evaluate_returns_the_metrics_that_train_wrote(
    trained: Trained, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", "--model", str(trained.run), "--part", part, "--json"]
    assert main([*call, "--set", f"store.dir={trained.folder / 'pixels'}"]) == 0
    assert_about_equal(json.loads(capsys.readouterr().out), metrics_of(trained.run)[part])


@pytest.mark.slow
def test_no_store_leaves_the_pixel_store_alone(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", "--model", str(trained.run), "--part", "test", "--json", "--no-store"]
    assert main([*call, "--set", f"store.dir={tmp_path / 'none'}"]) == 0
    assert_about_equal(json.loads(capsys.readouterr().out), metrics_of(trained.run)["test"])
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_host_that_only_the_run_folder_names_is_not_contacted(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = tmp_path / "run"
    shutil.copytree(trained.run, hostile)
    config = Config.load(hostile / "config.toml", ["data.labels=http://127.0.0.1:9/labels"])
    (hostile / "config.toml").write_text(config.to_toml())

    assert main(["evaluate", "--model", str(hostile), "--no-store"]) == 2

    line = capsys.readouterr().err
    assert line.startswith("error: data.labels: the run folder ")
    assert "--set data.labels=http://127.0.0.1:9/labels" in line
