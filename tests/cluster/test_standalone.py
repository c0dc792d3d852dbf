"""A real standalone cluster: its executors are processes of their own, in folders of their own."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.datasets.drawn.draw_faces import draw_faces, make_labels, write_labels
from glasses_spark.pipeline.pipeline import GlassesPipeline
from glasses_spark.scoring.transformer import GlassesModel
from tests.cluster.fits import PYTHONPATH, ROWS, command
from tests.cluster.standalone import Cluster, run_driver
from tests.paths import ROOT

pytestmark = pytest.mark.slow

CONFIG = ROOT / "configs" / "cluster.toml"
FACES = 80
EPOCHS = 2

# Enough epochs for the fit not to be over when the executor is killed.
LONG = 120


@pytest.fixture(scope="module")
def told(cluster: Cluster) -> dict[str, Any]:
    """Fits in all modes on one cluster; in the last one an executor is killed."""
    fits: list[dict[str, Any]] = [
        {"mode": "synchronous"},
        {"mode": "hogwild", "frequency": "epoch"},
        {"mode": "asynchronous", "epochs": LONG, "kill_executor": True},
    ]
    done = run_driver(cluster, command(cluster.master, *fits), PYTHONPATH=PYTHONPATH)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture(scope="module")
def fits(told: dict[str, Any]) -> list[dict[str, Any]]:
    """What came of each of them."""
    fits: list[dict[str, Any]] = told["fits"]
    return fits


def test_the_cluster_asks_for_the_secret(cluster: Cluster) -> None:
    assert "authentication enabled" in cluster.log


def test_slots_are_counted_at_once_when_the_executors_came_long_ago(told: dict[str, Any]) -> None:
    assert told["slots"] == 2
    assert told["naps"] == 0


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
def test_workers_in_other_processes_train_on_every_row(
    fits: list[dict[str, Any]], mode: str
) -> None:
    fit = next(one for one in fits if one["mode"] == mode)
    assert set(fit["rows"]) == {ROWS}
    assert fit["scored"] == ROWS
    assert set(fit["workers"]) == {0, 1}
    # Three where one was killed, and a worker went on in that which took its place.
    assert len(fit["executors"]) >= 2


def test_each_executor_works_in_a_folder_of_its_own(
    cluster: Cluster, fits: list[dict[str, Any]]
) -> None:
    folders = [Path(one) for one in fits[0]["folders"]]
    assert [one.relative_to(cluster.folder).parts[0] for one in folders] == ["worker1", "worker2"]


def test_the_secret_is_in_no_command_line(fits: list[dict[str, Any]]) -> None:
    for fit in fits:
        assert fit["executor_commands"] >= 2
        assert fit["secrets"] == 0


def test_a_fit_survives_a_killed_executor_and_its_account_adds_up(
    fits: list[dict[str, Any]],
) -> None:
    fit = fits[-1]
    assert len(fit["killed"]) == 1
    assert fit["killed"][0] in fit["executors"]
    # Its worker came again; more than once where rows had to be made anew first.
    assert len(fit["workers"]) >= 3
    assert fit["rows"] == [ROWS] * LONG


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A small run, but synchronous: what is put before `configs/cluster.toml`."""
    folder = tmp_path_factory.mktemp("faces")
    write_labels(folder / "labels.csv", make_labels(FACES, seed=4))
    draw_faces(folder / "labels.csv", folder / "faces", size=64, processes=1)
    return {
        "data.images": f"file:{folder / 'faces'}",
        "data.labels": str(folder / "labels.csv"),
        "image.height": "32",
        "image.width": "32",
        "training.mode": "synchronous",
        "training.epochs": str(EPOCHS),
        "training.batch_size": "16",
        "training.num_workers": "2",
    }


def test_a_run_by_spark_submit_from_an_archive_has_the_weights_of_local_mode(
    cluster: Cluster, spark: SparkSession, settings: Mapping[str, str], tmp_path: Path
) -> None:
    submit = ["spark-submit", "--master", cluster.master]
    submit += ["--archives", f"{pack_environment(tmp_path)}#environment"]
    submit += ["--py-files", str(pack_library(tmp_path)), str(ROOT / "scripts" / "train.py")]
    done = run_driver(
        cluster,
        [*submit, "--config", str(CONFIG), *overrides(settings, tmp_path / "cluster")],
        # The driver is this environment; executors take what was shipped to them.
        PYSPARK_DRIVER_PYTHON=sys.executable,
        PYSPARK_PYTHON="./environment/bin/python",
        PYTHONPATH=str(ROOT / "src"),
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "cluster" / "run" / "metrics.json").read_text())
    assert metrics["environment"]["spark_master"] == cluster.master
    assert metrics["data"]["used"] == metrics["train"]["rows"] + metrics["test"]["rows"]

    config = Config.load(CONFIG, overrides(settings, tmp_path / "local")[1::2])
    local = GlassesPipeline(config).run(spark)
    local.predictions.unpersist()
    there = GlassesModel.load((tmp_path / "cluster" / "run" / "model").as_uri())
    # To the last bit: the same rows in the same order, on the same number of threads.
    assert all(
        np.array_equal(a, b) for a, b in zip(local.model.weights, there.weights, strict=True)
    )
    assert [one["loss"] for one in there.history] == [one["loss"] for one in local.history]
    predictions = pq.read_table(tmp_path / "cluster" / "run" / "predictions.parquet")
    assert predictions.equals(pq.read_table(local.run_dir / "predictions.parquet"))


def overrides(settings: Mapping[str, str], folder: Path) -> list[str]:
    own = {"run.dir": str(folder / "run"), "store.dir": f"file:{folder / 'pixels'}"}
    return [word for item in {**settings, **own}.items() for word in ("--set", "=".join(item))]


def pack_library(folder: Path) -> Path:
    """Zip this library, as for ``--py-files``."""
    return Path(shutil.make_archive(str(folder / "library"), "zip", ROOT / "src"))


def pack_environment(folder: Path) -> Path:
    """Pack an environment for ``--archives``: a real one but for what is installed in it.

    Packing that takes minutes, so the packed environment looks for it where it is. A file
    of its own for editable installs would name this library, which is shipped apart; it is
    not followed in a place that comes from such a file itself.
    """
    made = folder / "environment"
    venv.create(made, symlinks=True)
    site = next((made / "lib").glob("python*/site-packages"))
    (site / "installed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    archive = folder / "environment.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(made, arcname=".")
    return archive
