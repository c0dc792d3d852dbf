"""Tests for glasses_spark.scoring.named_columns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.scoring.named_columns import (
    column_names,
    input_columns,
    listed,
    prediction_columns,
)

NAMES = ("a", "b")


@pytest.mark.parametrize("value", ["x", ["x", "y"], {"a": "x", "b": "y"}, ["x", None]])
def test_a_value_is_saved_as_json_and_read_back(value: Any) -> None:
    assert json.loads(json.dumps(column_names(value))) == value


@pytest.mark.parametrize("value", [1, [1], {"a": 1}, {1: "x"}, None])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="expected a column name, a list of column names or a map"):
        column_names(value)


def test_columns_have_the_order_of_the_inputs() -> None:
    assert input_columns(["x", "y"], NAMES) == ("x", "y")
    assert input_columns({"b": "y", "a": "x"}, NAMES) == ("x", "y")
    assert input_columns("x", ["a"]) == input_columns(["x"], ["a"]) == ("x",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "featuresCol: expected a column for each of the inputs a, b, got one column 'x'"),
        (["x"], "featuresCol: expected 2 columns, for the inputs a, b, got 1: x"),
        ({"a": "x", "c": "y"}, "featuresCol: found c, the inputs of the model are a, b"),
        ({"a": "x"}, "featuresCol: .* each of the inputs a, b, found none for b"),
        (["x", None], "featuresCol: found no column for the inputs b"),
    ],
)
def test_columns_that_do_not_fit_the_inputs_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        input_columns(value, NAMES)


def test_one_name_is_the_first_part_of_the_columns_of_several_outputs() -> None:
    assert prediction_columns("prediction", ["a"]) == ("prediction",)
    assert prediction_columns("prediction", NAMES) == ("prediction_a", "prediction_b")
    assert prediction_columns({"b": "y", "a": "x"}, NAMES) == ("x", "y")


def test_two_outputs_with_one_column_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"outputCol: expected another column .* a, b, got x, x"):
        prediction_columns(["x", "x"], NAMES)
    with pytest.raises(ConfigError, match="outputCol: the outputs a, a have no names of their own"):
        prediction_columns({"a": "x"}, ["a", "a"])


def test_names_are_listed_as_text() -> None:
    assert [listed(value) for value in ("x", ["x", "y"], {"a": "x"})] == ["x", "x, y", "x"]
