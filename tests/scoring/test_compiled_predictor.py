"""Tests for glasses_spark.scoring.compiled_predictor."""

from __future__ import annotations

import pytest

from glasses_spark.scoring.compiled_predictor import CompiledModel


@pytest.mark.parametrize(
    ("shapes", "rows"),
    [
        pytest.param(((128, 128, 1),), 32, id="grey pictures"),
        pytest.param(((1024, 1024, 3),), 8, id="large pictures"),
        pytest.param(((10,), (4,)), 256, id="two short inputs"),
        pytest.param(((),), 256, id="one number"),
    ],
)
def test_a_call_has_as_many_rows_as_fit_into_the_cache(
    shapes: tuple[tuple[int, ...], ...], rows: int
) -> None:
    assert CompiledModel("openvino", False, shapes).batch_size == rows
