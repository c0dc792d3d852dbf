"""Tests for glasses_spark.training.task_host; tests/connect/test_fit.py runs it on a server."""

from __future__ import annotations

import pytest
from pyspark import BarrierTaskInfo

from glasses_spark.training.task_host import addresses_of


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        pytest.param(["a:4001"], ("127.0.0.1", "127.0.0.1"), id="one task"),
        pytest.param(["a:4001", "a:4002"], ("127.0.0.1", "127.0.0.1"), id="one machine"),
        pytest.param(["a:4001", "b:4001"], ("a", "0.0.0.0"), id="two machines"),
        pytest.param(["10.0.0.7:1", "10.0.0.8:1"], ("10.0.0.7", "0.0.0.0"), id="by number"),
    ],
)
def test_the_server_listens_to_other_machines_only_if_there_are_any(
    tasks: list[str], expected: tuple[str, str]
) -> None:
    assert addresses_of([BarrierTaskInfo(address) for address in tasks]) == expected
