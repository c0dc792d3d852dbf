"""Tests of runs whose images, labels, pixels and results are on storage that only Hadoop reads."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pyspark
import pytest
from pyspark.sql import SparkSession

from glasses_spark.cli.main import main
from glasses_spark.config.config import Config
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.errors import ConfigError
from glasses_spark.loading.dataset import load_dataset
from glasses_spark.pipeline.pipeline import GlassesPipeline
from tests.cli.conftest import _process_as_before as _process_as_before
from tests.elsewhere import mount
from tests.faces import write_faces

FACES = 24


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    write_labels(tmp_path / "labels.csv", make_labels(FACES, seed=1))
    draw_faces(tmp_path / "labels.csv", tmp_path / "faces", size=64, processes=1)
    return tmp_path


def settings(root: str) -> list[str]:
    return [
        f"data.images={root}/faces",
        f"data.labels={root}/labels.csv",
        f"store.dir={root}/pixels",
        f"run.dir={root}/runs/one",
        "image.height=32",
        "image.width=32",
        "split.test=0.4",
        "training.epochs=1",
        "training.batch_size=4",
        "training.num_workers=2",
    ]


def test_all_files_are_read_by_spark_empty_ones_included(
    spark: SparkSession, tmp_path: Path
) -> None:
    root = mount(spark, tmp_path)
    names = ["my face [a] 1.png", "ü 100%20 face-2.png", "sub folder/face-3.png"]
    write_faces(tmp_path / "my faces", names)
    (tmp_path / "my faces" / "face-4.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("index,label\n1,1\n2,0\n3,1\n4,0\n")

    dataset = load_dataset(spark, f"{root}/my faces", f"{root}/labels.csv")

    assert not dataset.on_disk
    contents = {row["path"]: bytes(row["content"]) for row in dataset.frame.collect()}
    assert contents == {
        f"{root}/my faces/{name}": (tmp_path / "my faces" / name).read_bytes()
        for name in [*names, "face-4.png"]
    }


@pytest.mark.slow
@pytest.mark.rotated
def test_a_run_is_written_to_a_uri_and_its_model_is_used_from_there(
    spark: SparkSession, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = mount(spark, faces)
    run = f"{root}/runs/one"

    result = GlassesPipeline(Config.load(None, settings(root))).run(spark)

    assert result.location == run
    with pytest.raises(ConfigError, match=f"the run folder {run} is not on this machine"):
        _ = result.run_dir
    written = faces / "runs" / "one"
    table = pq.read_table(written / "predictions.parquet")
    assert table.num_rows == result.test.rows + result.train.rows
    assert all(path.startswith(f"{root}/faces/") for path in table.column("path").to_pylist())
    assert GlassesPipeline(Config.load(None, settings(root))).prepare(spark).decoded == 0

    assert main(["evaluate", "--model", run, "--part", "test", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["accuracy"] == result.test.accuracy
    assert main(["predict", "--csv", "--model", run, f"{root}/faces"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == FACES
    assert main(["evaluate", "--model", f"{root}/runs/none"]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.rotated
def test_executors_need_neither_the_folder_nor_the_disk_of_the_driver(faces: Path) -> None:
    # The labels have a relative path, which only the driver can resolve.
    result = run_on_cluster(
        faces,
        """
        done = GlassesPipeline(Config.load(None, settings)).prepare(spark)
        report(used=done.data["used"], decoded=done.decoded)
        for location in ("my run", "viewfs://faces/mnt/run"):
            with new_run_folder_at(spark, location) as new:
                new.finish(lambda folder: (folder / "report.html").write_text("done"))
        """,
    )

    assert len(result["executor_folders"]) == 1
    assert result["driver_folder"] not in result["executor_folders"]
    assert result["used"] == result["decoded"] == count_labelled(faces)
    for run in ("my run", "run"):
        assert (faces / run / "report.html").read_text() == "done"


@pytest.mark.exhaustive
def test_a_run_on_a_cluster_is_written_to_a_uri_and_to_the_disk_of_the_driver(faces: Path) -> None:
    result = run_on_cluster(
        faces,
        """
        for run_dir in (["run.dir=my run"], []):
            result = GlassesPipeline(Config.load(None, [*settings, *run_dir])).run(spark)
        report(used=result.data["used"], workers=len(result.history[0]["workers"]))
        """,
    )

    assert (result["used"], result["workers"]) == (count_labelled(faces), 2)
    for run in (faces / "my run", faces / "runs" / "one"):
        parts = sorted(path.name for path in (run / "model").iterdir())
        assert parts == ["archive", "metadata", "weights"]


@pytest.mark.slow
@pytest.mark.rotated
def test_a_path_on_the_disk_of_the_driver_logs_a_warning_on_a_cluster(
    spark: SparkSession,
    faces: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("glasses_spark.loading.dataset.runs_locally", lambda spark: False)
    for images, warned in ((f"{faces}/faces", True), (f"file:{faces}/faces", False)):
        caplog.clear()
        load_dataset(spark, images, str(faces / "labels.csv"))
        assert ("Every executor must find the same files" in caplog.text) == warned


def count_labelled(faces: Path) -> int:
    rows = csv.DictReader((faces / "labels.csv").read_text().splitlines())
    return sum(row["label"] not in ("", "nan") for row in rows)


def run_on_cluster(faces: Path, code: str) -> dict[str, Any]:
    """Run code in a driver with an executor in another process and folder.

    The code calls ``report`` with the values to return.
    """
    script = f"""
import json, os
from glasses_spark import Config, GlassesPipeline
from glasses_spark.runs.remote_folder import new_run_folder_at
from glasses_spark.runtime.session import spark_session

values = {{}}
report = values.update
settings = {settings("viewfs://faces/mnt")} + ["data.labels=labels.csv"]
conf = {{
    "spark.hadoop.fs.viewfs.mounttable.faces.link./mnt": "file:{faces}",
    "spark.executor.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
}}
with spark_session(master="local-cluster[1,2,1024]", conf=conf) as spark:
    context = spark.sparkContext
    print(context.applicationId, flush=True)
    folders = context.range(8, numSlices=8).map(lambda _: os.getcwd()).distinct().collect()
    report(driver_folder=os.getcwd(), executor_folders=folders)
{textwrap.indent(textwrap.dedent(code), "    ")}
    print(json.dumps(values))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=faces,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    # Spark creates the executors' folders inside the installed package.
    work = Path(pyspark.__file__).parent / "work"
    for line in done.stdout.splitlines()[:1]:
        shutil.rmtree(work / line, ignore_errors=True)
    with suppress(OSError):  # not empty: used by other executors
        work.rmdir()
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
