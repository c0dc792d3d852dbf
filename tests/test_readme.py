"""Tests that the pages are true: their Python, their links, their figures."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.datasets.drawn.draw_faces import draw_faces, make_labels, write_labels
from tests.paths import ROOT

PAGES = ["README.md", "docs/quickstart.md", "docs/data.md"]


def blocks_of(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [*PAGES, "docs/cluster.md", "docs/tracking.md"])
def test_every_name_that_a_page_imports_exists(page: str) -> None:
    blocks = blocks_of(page)
    assert blocks
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{page}: {node.module}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(f"docs/{page.name}" for page in ROOT.glob("docs/*.md"))]
)
def test_every_file_that_a_page_links_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("https://"):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_the_tables_of_the_pages_are_those_of_the_result_files() -> None:
    check = [sys.executable, str(ROOT / "benchmarks" / "figures.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_python_of_readme_and_quick_start_runs(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One epoch of a few small faces, where the pages train for ten on 2,400.
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    demo = tmp_path / "configs" / "demo.toml"
    demo.write_text(demo.read_text().replace("[training]", "[training]\nepochs = 1"))
    write_labels(tmp_path / "labels.csv", make_labels(24, seed=2))
    draw_faces(tmp_path / "labels.csv", tmp_path / "faces", size=64, processes=1)
    monkeypatch.chdir(tmp_path)

    names: dict[str, Any] = {}
    try:
        # In one namespace, page after page, as a reader goes on in one notebook. The
        # README's run leaves the run folder that the quick start looks into.
        for page in ("README.md", "docs/quickstart.md"):
            for number, block in enumerate(blocks_of(page), start=1):
                shortened = block.replace("epochs=10", "epochs=1")
                exec(compile(shortened, f"{page}, block {number}", "exec"), names)
    finally:
        spark.catalog.clearCache()

    assert names["result"].test.rows + names["result"].train.rows == names["dataset"].account.used
    assert len(names["model"].history) == 1
