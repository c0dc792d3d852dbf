"""Fuzz targets of folders: ``run``, ``stage`` and ``store``; an input is a zip archive of one."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from glasses_spark import Config, GlassesEstimator, GlassesModel, GlassesPipeline
from glasses_spark.evaluation.compare import compare
from glasses_spark.reports.compare_page import render_page
from glasses_spark.reports.compare_text import print_comparison
from glasses_spark.runs.read import read_runs
from glasses_spark.runtime.session import spark_session
from tests.fuzz.archives import archive_of, mutate
from tests.fuzz.target import Check, Target, refused
from tests.paths import ROOT

_SAVED: Final = ROOT / "tests" / "compatibility" / "saved_0b62211"


def run_seeds() -> list[bytes]:
    """Return the run folder of an earlier version, without its model."""
    return [_packed(_SAVED / "run", lambda name: not name.startswith("model/"))]


@contextmanager
def run_opened() -> Iterator[Check]:
    """Provide a check: a run is compared with a good one, in a text and a page, or refused."""
    with _folder() as folder:
        good, other = folder / "good", folder / "other"
        shutil.copytree(_SAVED / "run", good)

        def look() -> None:
            comparison = compare(read_runs([good, other]))
            print_comparison(comparison, Console(file=io.StringIO()))
            render_page(comparison)

        def check(data: bytes) -> None:
            if _unpacked(data, other):
                refused(look)

        yield check


def stage_seeds() -> list[bytes]:
    """Return saved stages of an earlier version: an estimator and a fitted model."""
    return [_packed(_SAVED / name) for name in ("model", "estimator")]


@contextmanager
def stage_opened() -> Iterator[Check]:
    """Provide a check: a stage is loaded and its network built, or refused."""
    with _folder() as folder, spark_session(master="local[1]"):
        path = folder / "stage"

        def check(data: bytes) -> None:
            if _unpacked(data, path):
                refused(lambda: GlassesModel.load(f"file:{path}").keras_model())
                refused(lambda: GlassesEstimator.load(f"file:{path}"))

        yield check


def store_seeds() -> list[bytes]:
    """Return the pixel store of an earlier version."""
    return [_packed(_SAVED / "pixels")]


@contextmanager
def store_opened() -> Iterator[Check]:
    """Provide a check: all pixels come from a store or from the files, or it is refused."""
    with _folder() as folder, spark_session(master="local[1]") as spark:

        def look(store: Path) -> None:
            config = Config.load(
                overrides=[
                    f"data.images={_SAVED / 'faces'}",
                    f"data.labels={_SAVED / 'labels.csv'}",
                    f"store.dir={store}",
                    "image.height=16",
                    "image.width=16",
                ]
            )
            pipeline = GlassesPipeline(config)
            rows = pipeline.preprocess(pipeline.load(spark)).good.collect()
            assert len(rows) == 15
            assert all(len(row.pixels) == 256 for row in rows)

        def check(data: bytes) -> None:
            # A new folder for each input: tasks of one that was refused may still write.
            store = Path(tempfile.mkdtemp(dir=folder)) / "pixels"
            if _unpacked(data, store):
                refused(lambda: look(store))
            shutil.rmtree(store.parent, ignore_errors=True)

        yield check


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _packed(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> bytes:
    files = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*"))}
    return archive_of(
        {name: file.read_bytes() for name, file in files.items() if file.is_file() and wanted(name)}
    )


def _unpacked(data: bytes, folder: Path) -> bool:
    """Write an archive to a new folder; return whether it is one that can be written."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > 1 << 20:
                return False
            archive.extractall(folder)
    except Exception:  # the archive is the form of the input, not the target
        return False
    return True


RUN: Final = Target("run", run_seeds, run_opened, mutate)
STAGE: Final = Target("stage", stage_seeds, stage_opened, mutate)
STORE: Final = Target("store", store_seeds, store_opened, mutate)
