"""Tests for glasses_spark.scoring.export and parity: one number in every format."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from glasses_spark import build_cnn
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.export import ENDINGS, export_model, with_pixel_input
from glasses_spark.scoring.model_metadata import ModelMetadata
from glasses_spark.scoring.onnx_model import OPSET
from glasses_spark.scoring.parity import TOLERANCE, largest_difference

pytestmark = pytest.mark.slow

SIDE = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE, 1), np.uint8)
METADATA = ModelMetadata(
    height=SIDE,
    width=SIDE,
    takes_pixels=True,
    temperature=1.5,
    digest="abc",
    versions={"keras": "3"},
)


def pixel_model(seed: int) -> Any:
    # A fitted model has no optimizer.
    return with_pixel_input(import_keras().models.clone_model(build_cnn(SIDE, SIDE, seed=seed)))


@pytest.fixture(scope="module")
def network() -> Any:
    return pixel_model(3)


@pytest.mark.parametrize("format", list(ENDINGS))
def test_an_exported_model_returns_what_keras_does(
    network: Any, tmp_path: Path, format: str
) -> None:
    path = tmp_path / f"model{ENDINGS[format]}"
    export_model(network, path, METADATA, format=format)
    assert largest_difference(network, path, PIXELS, format=format) <= TOLERANCE
    # An open batch dimension, and a model that replaces an earlier one.
    export_model(network, path, METADATA, format=format)
    assert largest_difference(network, path, PIXELS[:1], format=format) <= TOLERANCE


@pytest.mark.parametrize("format", list(ENDINGS))
def test_a_difference_is_seen(network: Any, tmp_path: Path, format: str) -> None:
    path = tmp_path / f"model{ENDINGS[format]}"
    export_model(network, path, METADATA, format=format)
    assert largest_difference(pixel_model(4), path, PIXELS, format=format) > TOLERANCE


@pytest.mark.parametrize("format", list(ENDINGS))
def test_the_metadata_are_in_each_format(network: Any, tmp_path: Path, format: str) -> None:
    path = tmp_path / f"model{ENDINGS[format]}"
    export_model(network, path, METADATA, format=format)
    assert ModelMetadata.from_json(_metadata_in(path, format), source=format) == METADATA


def _metadata_in(path: Path, format: str) -> str:
    if format == "keras":
        return zipfile.ZipFile(path).read("glasses_spark.json").decode()
    if format == "saved-model":
        return (path / "assets.extra" / "glasses_spark.json").read_text()
    if format == "onnx":
        (entry,) = onnx.load(path).metadata_props
        return str(entry.value)
    if format == "openvino":
        import openvino

        return str(openvino.Core().read_model(path).get_rt_info("glasses_spark").astype(str))
    return (path.parent / f"{path.name}.json").read_text()


def test_the_ports_of_an_onnx_model_have_names(network: Any, tmp_path: Path) -> None:
    export_model(network, tmp_path / "model.onnx", METADATA, format="onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model)
    ports = [*model.graph.input, *model.graph.output]
    assert [port.name for port in ports] == ["image", "probability"]
    assert {port.type.tensor_type.shape.dim[0].dim_param for port in ports} == {"batch"}
    assert [each.version for each in model.opset_import if each.domain == ""] == [OPSET]


def test_a_model_of_other_features_is_exported(tmp_path: Path) -> None:
    keras = import_keras()
    network = keras.Sequential([keras.Input((7,)), keras.layers.Dense(3, activation="softmax")])
    batch = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    for format, ending in ENDINGS.items():
        path = tmp_path / f"model{ending}"
        export_model(network, path, ModelMetadata(), format=format)
        assert largest_difference(network, path, batch, format=format) <= TOLERANCE


def test_a_folder_of_something_else_is_not_replaced(network: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ScoringError, match="expected no folder or an earlier SavedModel"):
        export_model(network, tmp_path, METADATA, format="saved-model")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_path_that_cannot_be_written_is_an_error(network: Any, tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="cannot be written: No such file"):
        export_model(network, tmp_path / "none" / "m.onnx", METADATA, format="onnx")


def test_a_model_that_a_format_lacks_is_an_error(tmp_path: Path) -> None:
    keras = import_keras()
    text = keras.Sequential(
        [
            keras.Input((1,), dtype="string"),
            keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4),
        ]
    )
    with pytest.raises(ScoringError, match="the model cannot be exported as onnx"):
        export_model(text, tmp_path / "m.onnx", ModelMetadata(), format="onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_metadata_are_readable_beside_a_tflite_model(network: Any, tmp_path: Path) -> None:
    export_model(network, tmp_path / "m.tflite", METADATA, format="tflite")
    content = json.loads((tmp_path / "m.tflite.json").read_text())
    assert content["labels"] == ["no glasses", "glasses"]
