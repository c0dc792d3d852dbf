"""Tests of the README and the quick start: their Python runs, their tables are up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from tests.paths import ROOT


def blocks_of(page: str) -> list[str]:
    """Return the blocks of Python in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_generated_tables_of_the_pages_are_up_to_date() -> None:
    check = [sys.executable, str(ROOT / "benchmarks" / "figures.py"), "--check"]
    process = subprocess.run(check, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
def test_the_python_of_the_readme_and_the_quick_start_runs(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One epoch on a few small faces. The pages train for ten epochs on 2,400 faces.
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    demo = tmp_path / "configs" / "demo.toml"
    demo.write_text(demo.read_text().replace("[training]", "[training]\nepochs = 1"))
    write_labels(tmp_path / "labels.csv", make_labels(24, seed=2))
    draw_faces(tmp_path / "labels.csv", tmp_path / "faces", size=64, processes=1)
    monkeypatch.chdir(tmp_path)

    # All blocks share one namespace, as in one notebook. The quick start reads the run
    # folder that the README's run creates.
    names: dict[str, Any] = {}
    try:
        for page in ("README.md", "docs/quickstart.md"):
            for number, block in enumerate(blocks_of(page), start=1):
                shortened = block.replace("epochs=10", "epochs=1")
                exec(compile(shortened, f"{page}, block {number}", "exec"), names)
    finally:
        spark.catalog.clearCache()

    assert names["result"].test.rows + names["result"].train.rows == names["dataset"].account.used
    assert len(names["model"].history) == 1
