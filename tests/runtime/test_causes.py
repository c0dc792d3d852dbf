"""Tests for glasses_spark.runtime.causes."""

from __future__ import annotations

import pytest

from glasses_spark.runtime.causes import LONGEST, describe, telling_line

GRAPH = """Graph execution error:

Detected at node compile_loss/SparseSoftmax defined at (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main

  File "/site-packages/keras/src/losses/loss.py", line 67, in __call__

Received a label value of 4 which is outside the valid range of [0, 3).  Label values: 1 4
\t [[{{node compile_loss/SparseSoftmax}}]] [Op:__inference__gradient_step_203]"""

LAYER = """Exception encountered when calling Odd.call().

\x1b[1mCould not automatically infer the output shape / dtype of 'odd' (of type Odd). \
Error encountered:

boom in the layer\x1b[0m

Arguments received by Odd.call():
  • args=('<KerasTensor>',)"""

OPERATION = (
    "{{function_node __wrapped__MatMul_device_/job:localhost/device:CPU:0}} Matrix "
    "size-incompatible: In[0]: [2,1], In[1]: [7,2] [Op:MatMul] name: "
)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        pytest.param("one\ntwo", "one", id="first line"),
        pytest.param("\n  one.\n", "one", id="blank lines and the full stop"),
        pytest.param("", "", id="no message"),
        pytest.param("Graph execution error:", "Graph execution error:", id="graph, no cause"),
        pytest.param(
            GRAPH,
            "Received a label value of 4 which is outside the valid range of [0, 3).  "
            "Label values: 1 4",
            id="graph",
        ),
        pytest.param(LAYER, "boom in the layer", id="layer"),
        pytest.param(
            "Exception encountered when calling Dense.call().\n\nMatrix size-incompatible",
            "Matrix size-incompatible",
            id="call",
        ),
        pytest.param(
            OPERATION,
            "Matrix size-incompatible: In[0]: [2,1], In[1]: [7,2]",
            id="operation",
        ),
    ],
)
def test_the_line_with_the_cause_is_found(message: str, line: str) -> None:
    assert telling_line(message) == line


def test_a_description_has_the_class_of_the_error() -> None:
    assert describe(KeyError("colour")) == "KeyError: 'colour'"
    assert describe(MemoryError()) == "MemoryError"


def test_a_long_line_is_shortened() -> None:
    line = telling_line("x" * 10_000)
    assert len(line) == LONGEST
    assert line.endswith("x ...")
