"""Tests for glasses_spark.runs.tracking.mlflow_loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import ScoringError
from glasses_spark.runs.tracking.mlflow_loader import LoadedModel, _load_pyfunc
from glasses_spark.training.model import build_cnn


@pytest.fixture(scope="module")
def network() -> Any:
    return build_cnn(16, 16, seed=1)


@pytest.fixture(scope="module")
def model(network: Any, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    path = tmp_path_factory.mktemp("loader") / "model.keras"
    network.save(path)
    return _load_pyfunc(str(path))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_whole_numbers_are_grey_levels(network: Any, model: LoadedModel, dtype: str) -> None:
    white = 127 if dtype == "int8" else 255
    levels = np.random.default_rng(0).integers(0, white + 1, (3, 16, 16, 1)).astype(dtype)
    expected = network(levels.astype("float32") / 255).numpy()
    assert np.ptp(expected) > 0
    assert model.predict(levels) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_numbers_are_fractions_of_white(network: Any, model: LoadedModel, dtype: str) -> None:
    images = np.random.default_rng(0).random((3, 16, 16, 1)).astype(dtype)
    expected = network(images.astype("float32")).numpy()
    assert np.ptp(expected) > 0
    predicted = model.predict(images)
    assert predicted.dtype == np.float32
    assert predicted.shape == (3, 1)
    assert predicted == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 32, 33, 70])
def test_batches_of_any_length_keep_their_order(
    network: Any, model: LoadedModel, rows: int
) -> None:
    images = np.random.default_rng(1).random((rows, 16, 16, 1), dtype=np.float32)
    predicted = model.predict(images)
    assert predicted.shape == (rows, 1)
    if rows:
        assert predicted == pytest.approx(network(images).numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.full((1, 16, 16, 1), 200.0, np.float32), r"float32 from 200\.0 to 200\.0"),
        (np.full((1, 16, 16, 1), -0.5), r"float64 from -0\.5 to -0\.5"),
        (np.full((1, 16, 16, 1), np.nan), "float64 from nan to nan"),
        (np.full((1, 16, 16, 1), 256), "int64 from 256 to 256"),
        (np.full((1, 16, 16, 1), -1), "int64 from -1 to -1"),
        (np.full((1, 16, 16, 1), True), "bool"),
        (np.full((1, 16, 16, 1), "a"), "<U1"),
    ],
)
def test_pixels_outside_their_range_are_an_error(
    model: LoadedModel, pixels: np.ndarray[Any, Any], found: str
) -> None:
    with pytest.raises(ScoringError, match=f"from 0 to 255, got {found}"):
        model.predict(pixels)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="File not found"):
        _load_pyfunc(str(tmp_path / "model.keras"))
