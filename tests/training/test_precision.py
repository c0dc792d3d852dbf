"""Tests for glasses_spark.training.precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.model import build_cnn
from glasses_spark.training.precision import compute_in, has_native_bfloat16, resolve_precision
from glasses_spark.training.worker.steps import Steps
from tests.training.tiny import row_format, spec_of, tiny_model


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("Features\t: fp asimd i8mm bf16\n", True),
        ("flags\t\t: fpu avx2 fma\nmodel name\t: bf16 maker\n", False),
        ("", False),
    ],
)
def test_bfloat16_is_native_where_the_processor_lists_it(
    text: str, native: bool, tmp_path: Path
) -> None:
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(text)
    assert has_native_bfloat16(cpu_info) is native


def test_a_machine_without_a_description_has_no_bfloat16(tmp_path: Path) -> None:
    assert not has_native_bfloat16(tmp_path / "none")


def test_auto_is_the_format_that_all_executors_support(spark: SparkSession) -> None:
    lists_bfloat16 = any(
        flag in Path("/proc/cpuinfo").read_text().split() for flag in ("avx512_bf16", "bf16")
    )
    assert resolve_precision(spark, "auto") == ("bfloat16" if lists_bfloat16 else "float32")
    assert resolve_precision(spark, "float32") == "float32"


@pytest.fixture(scope="module")
def gradients() -> dict[str, Any]:
    """The update of one batch of pictures, and the weights, by precision."""
    keras = import_keras()
    keras.utils.set_random_seed(3)
    model = build_cnn(32, 32)
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (16, 32 * 32)).astype(np.uint8)
    y = generator.integers(0, 2, (16, 1)).astype(np.float32)
    form = row_format(features=32 * 32, feature_dtype="uint8")
    weights = np.concatenate([w.ravel() for w in model.get_weights()])
    updates = {}
    for precision in ("float32", "bfloat16"):
        spec = spec_of(model)
        steps = Steps(replace(spec, precision=precision), form)
        updates[precision] = (steps, *steps.gradient(weights, [x], [y], np.ones(16, np.float32)))
    return updates


def test_bfloat16_changes_the_update_by_its_rounding_only(gradients: Any) -> None:
    _, full, _ = gradients["float32"]
    _, half, _ = gradients["bfloat16"]
    assert not np.array_equal(full, half)  # it was computed in another format
    assert half.dtype == np.float32
    # 8 significant bits are 0.4 % for each rounding, in five layers forward and back; with
    # noise as images most of a gradient cancels out. Measured: 6 %.
    assert np.linalg.norm(half - full) < 0.1 * np.linalg.norm(full)


def test_variables_and_the_output_stay_in_float32(gradients: Any) -> None:
    steps = gradients["bfloat16"][0]
    assert {str(v.dtype) for v in steps.model.weights} == {"float32"}
    policies = [layer.dtype_policy.name for layer in steps.model.layers]
    assert policies[-1] == "float32"
    assert set(policies[:-1]) == {"mixed_bfloat16"}
    assert str(steps.model(np.zeros((1, 32, 32, 1), np.float32)).dtype) == "<dtype: 'float32'>"


def test_a_model_of_float64_is_refused() -> None:
    with pytest.raises(
        TrainingError, match="precision=bfloat16 needs a model with float32 weights"
    ):
        compute_in(tiny_model(dtype="float64"), "bfloat16")
