"""Tests for glasses_spark.scoring.model_ports."""

from __future__ import annotations

from typing import Any

import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.model_ports import InputPort, input_ports, output_names

keras = import_keras()
layers = keras.layers


def two_of_each(*, as_mappings: bool) -> Any:
    """A model whose layers are created in another order than its inputs and outputs."""
    second = keras.Input((1,), dtype="string", name="second")
    first = keras.Input((2, None), name="first")
    words = layers.Embedding(4, 2)(layers.StringLookup(vocabulary=["a"])(second))
    total = keras.ops.sum(words, axis=(1, 2)) + keras.ops.sum(first, axis=(1, 2))
    total = keras.ops.expand_dims(total, -1)
    b, a = layers.Dense(1, name="b")(total), layers.Dense(3, name="a")(total)
    if as_mappings:
        return keras.Model({"second": second, "first": first}, {"b": b, "a": a})
    return keras.Model([second, first], [b, a])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_the_type_of_the_input_is_in_the_architecture(dtype: str) -> None:
    inputs = keras.Input((2,), dtype=dtype, name="x")
    outputs = layers.Dense(1, name="y")(keras.ops.cast(inputs, "float32"))
    for model in (
        keras.Model(inputs, outputs),
        keras.Sequential([keras.Input((2,), dtype=dtype, name="x"), layers.Dense(1, name="y")]),
    ):
        assert input_ports(model.to_json()) == (InputPort("x", dtype, (2,)),)
        assert output_names(model.to_json()) == ("y",)


@pytest.mark.parametrize("as_mappings", [False, True])
def test_several_inputs_and_outputs_have_the_order_of_the_model(as_mappings: bool) -> None:
    model = two_of_each(as_mappings=as_mappings)
    ports = input_ports(model.to_json())
    assert [port.name for port in ports] == [tensor.name for tensor in model.inputs]
    assert [port.dtype for port in ports] == [str(tensor.dtype) for tensor in model.inputs]
    assert {port.name: port.size for port in ports} == {"first": None, "second": 1}
    assert output_names(model.to_json()) == tuple(model.output_names)


def test_an_architecture_without_layers_has_one_input_and_one_output_without_a_name() -> None:
    assert input_ports("{}") == (InputPort(""),)
    assert output_names("{}") == ("",)
