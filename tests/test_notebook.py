"""Tests of docs/notebook.ipynb, run in a kernel with an external Spark."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.paths import ROOT
from tests.runtime.processes import clean_environment, lay_out_spark

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"

# Fewer and smaller faces and fewer epochs than the notebook, which uses those of the demo.
SMALL = {"faces": 160, "drawn_size": 64, "side": 32, "epochs": 2, "batch_size": 16}

FACTS = """
import json, os, sys
import pyspark

print(json.dumps({
    "pyspark": pyspark.__file__,
    "findspark": "findspark" in sys.modules,
    "jvm": spark.sparkContext._jvm.java.lang.System.getenv("SPARK_HOME"),
    "memory": spark.sparkContext.getConf().get("spark.driver.memory"),
    "epochs": len(model.history),
    "workers": len(model.history[0]["workers"]),
    "rows": metrics.rows,
    "used": dataset.account.used,
    "trained": model.history[0]["rows"],
}))
"""


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def cell_of(notebook: Any, name: str) -> Any:
    return next(cell for cell in notebook.cells if cell.id == name)


def test_the_notebook_has_no_outputs() -> None:
    notebook = read()

    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_every_page_linked_in_the_notebook_exists() -> None:
    text = "".join(cell.source for cell in read().cells if cell.cell_type == "markdown")
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    assert targets
    for target in targets:
        assert (NOTEBOOK.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.rotated
def test_the_notebook_runs_in_a_kernel_with_the_spark_of_spark_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Jupyter's own files go to the temporary folder as well.
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    home = tmp_path / "spark"
    lay_out_spark(home)
    (home / "conf" / "spark-defaults.conf").write_text("# ours\nspark.driver.memory  900m\n")
    notebook = read()
    parameters = cell_of(notebook, "parameters")
    assigned = [node.targets[0] for node in ast.parse(parameters.source).body]
    assert SMALL.keys() <= {target.id for target in assigned}
    parameters.source += "".join(f"\n{name} = {value}" for name, value in SMALL.items())
    end = notebook.cells.index(cell_of(notebook, "end"))
    notebook.cells.insert(end, nbformat.v4.new_code_cell(FACTS))

    client = NotebookClient(
        notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute(env=clean_environment(SPARK_HOME=str(home), TMPDIR=str(tmp_path)))

    facts = json.loads(notebook.cells[end].outputs[0].text)
    assert facts.pop("pyspark") == str(home / "python" / "pyspark" / "__init__.py")
    assert facts.pop("jvm") == str(home)
    assert facts.pop("trained") + facts.pop("rows") == facts.pop("used")
    assert facts == {"findspark": True, "memory": "900m", "epochs": 2, "workers": 2}
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    # No warning, and no log of Spark or TensorFlow.
    assert not [
        output.text
        for cell_outputs in outputs.values()
        for output in cell_outputs
        if output.get("name") == "stderr"
    ]
    shown = {
        name: output.data["text/html"]
        for name, cell_outputs in outputs.items()
        for output in cell_outputs
        if "text/html" in output.get("data", {})
    }
    assert list(shown) == ["configure", "pixels", "fit", "judge", "curves", "mistakes"]
    assert "GlassesModel" in shown["fit"]
    assert shown["fit"].count("<svg") == 2
    assert shown["mistakes"].count("data:image/png") == 12
