"""Tests on a standalone cluster, with executors in processes and folders of their own."""

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
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.pipeline.pipeline import GlassesPipeline
from glasses_spark.scoring.transformer import GlassesModel
from tests.cluster.fits import PYTHONPATH, ROWS, command
from tests.cluster.standalone import Cluster, run_driver
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

CONFIG = ROOT / "configs" / "cluster.toml"
FACES = 80
EPOCHS = 2

# Enough epochs for the fit to be running when the executor is killed.
LONG = 30


@pytest.fixture(scope="module")
def results(cluster: Cluster) -> dict[str, Any]:
    """Results of fits in two modes. An executor is killed during the last one."""
    fits: list[dict[str, Any]] = [
        {"mode": "synchronous", "frequency": "epoch"},
        {"mode": "asynchronous", "epochs": LONG, "kill": "executor"},
    ]
    process = run_driver(cluster, command(cluster.master, *fits), PYTHONPATH=PYTHONPATH)
    assert process.returncode == 0, process.stderr
    results: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return results


@pytest.fixture(scope="module")
def fits(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Results of the single fits."""
    fits: list[dict[str, Any]] = results["fits"]
    return fits


def test_the_cluster_authenticates_with_the_secret(cluster: Cluster) -> None:
    assert "authentication enabled" in cluster.log


def test_the_slots_of_all_executors_are_counted(results: dict[str, Any]) -> None:
    assert results["slots"] == 2


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_workers_on_executors_train_on_every_row(fits: list[dict[str, Any]], mode: str) -> None:
    fit = next(result for result in fits if result["mode"] == mode)
    assert set(fit["rows"]) == {ROWS}
    assert fit["scored"] == ROWS
    assert set(fit["workers"]) == {0, 1}
    # After a kill a new executor takes over, which makes three.
    assert len(fit["executors"]) >= 2


def test_each_executor_has_a_working_folder_of_its_own(
    cluster: Cluster, fits: list[dict[str, Any]]
) -> None:
    folders = [Path(folder).relative_to(cluster.folder) for folder in fits[0]["folders"]]
    assert [folder.parts[0] for folder in folders] == ["worker1", "worker2"]


def test_the_secret_is_in_no_command_line(fits: list[dict[str, Any]]) -> None:
    for fit in fits:
        assert fit["executor_commands"] >= 2
        assert fit["secrets"] == 0


def test_a_fit_survives_a_killed_executor_and_uses_every_row(
    fits: list[dict[str, Any]],
) -> None:
    fit = fits[-1]
    assert len(fit["killed"]) == 1
    assert fit["killed"][0] in fit["executors"]
    # Its worker joins again, possibly several times if rows have to be recomputed.
    assert len(fit["workers"]) >= 3
    assert fit["rows"] == [ROWS] * LONG


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of a small synchronous run, which override `configs/cluster.toml`."""
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


def test_spark_submit_with_an_archive_trains_the_same_weights_as_local_mode(
    cluster: Cluster, spark: SparkSession, settings: Mapping[str, str], tmp_path: Path
) -> None:
    submit = ["spark-submit", "--master", cluster.master]
    submit += ["--archives", f"{pack_environment(tmp_path)}#environment"]
    submit += ["--py-files", str(pack_library(tmp_path)), str(ROOT / "scripts" / "train.py")]
    process = run_driver(
        cluster,
        [*submit, "--config", str(CONFIG), *overrides(settings, tmp_path / "cluster")],
        # The driver uses this environment, the executors use the archive.
        PYSPARK_DRIVER_PYTHON=sys.executable,
        PYSPARK_PYTHON="./environment/bin/python",
        PYTHONPATH=str(ROOT / "src"),
    )
    assert process.returncode == 0, process.stderr
    metrics = json.loads((tmp_path / "cluster" / "run" / "metrics.json").read_text())
    assert metrics["environment"]["spark_master"] == cluster.master
    assert metrics["data"]["used"] == metrics["train"]["rows"] + metrics["test"]["rows"]

    config = Config.load(CONFIG, overrides(settings, tmp_path / "local")[1::2])
    local = GlassesPipeline(config).run(spark)
    local.predictions.unpersist()
    submitted = GlassesModel.load((tmp_path / "cluster" / "run" / "model").as_uri())
    # Bit for bit: the same rows in the same order, on the same number of threads.
    assert all(
        np.array_equal(a, b) for a, b in zip(local.model.weights, submitted.weights, strict=True)
    )
    assert [epoch["loss"] for epoch in submitted.history] == [
        epoch["loss"] for epoch in local.history
    ]
    # The prediction of a row depends, in its last bits, on the other rows of its batch, which
    # depend on the partitions.
    tables = [
        pq.read_table(folder / "predictions.parquet")
        for folder in (tmp_path / "cluster" / "run", local.run_dir)
    ]
    assert tables[0].drop_columns("prediction").equals(tables[1].drop_columns("prediction"))
    probabilities = [np.array(table["prediction"].to_pylist()) for table in tables]
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=1e-6)


def overrides(settings: Mapping[str, str], folder: Path) -> list[str]:
    own = {"run.dir": str(folder / "run"), "store.dir": f"file:{folder / 'pixels'}"}
    return [word for item in {**settings, **own}.items() for word in ("--set", "=".join(item))]


def pack_library(folder: Path) -> Path:
    """Zip this library for ``--py-files``."""
    return Path(shutil.make_archive(str(folder / "library"), "zip", ROOT / "src"))


def pack_environment(folder: Path) -> Path:
    """Pack an environment for ``--archives``, without its packages.

    Packing the packages takes minutes, so a ``.pth`` file refers to the installed ones. The
    editable install of this library is not found that way, because Python does not process
    ``.pth`` files in folders that come from one. The library is shipped by ``--py-files``.
    """
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "installed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    archive = folder / "environment.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(environment, arcname=".")
    return archive
