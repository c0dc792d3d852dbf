"""Export: a fitted model as a file of another runtime, with its metadata."""

from __future__ import annotations

import io
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from glasses_spark.errors import ScoringError
from glasses_spark.extras import require_extra
from glasses_spark.runtime.causes import describe
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.native_stderr import native_stderr_discarded
from glasses_spark.runtime.owned_folder import owned_folder
from glasses_spark.runtime.replaced_file import replaced_file
from glasses_spark.scoring.model_metadata import KEY, ModelMetadata
from glasses_spark.scoring.onnx_model import INPUT, to_onnx

KERAS: Final = "keras"
SAVED_MODEL: Final = "saved-model"
ONNX: Final = "onnx"
OPENVINO: Final = "openvino"
TFLITE: Final = "tflite"

# Endings of the paths; a SavedModel is a folder.
ENDINGS: Final = {
    KERAS: ".keras",
    SAVED_MODEL: "",
    ONNX: ".onnx",
    OPENVINO: ".xml",
    TFLITE: ".tflite",
}

# File with the metadata, in or beside formats that have no place for them.
METADATA_FILE: Final = f"{KEY}.json"

_PACKAGES: Final = ("glasses-spark", "keras", "tensorflow")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that export a model."""
    return {name: version(name) for name in _PACKAGES}


def with_pixel_input(network: Any) -> Any:
    """Return a Keras model that takes grey pixels and divides them by 255 itself.

    Args:
        network: Model from grey images ``(batch, height, width, 1)``, float32 in [0, 1], that is
            not compiled.

    Returns:
        A model from uint8 of the same shape to the same outputs.
    """
    keras = import_keras()
    pixels = keras.Input(network.input_shape[1:], dtype="uint8", name=INPUT)
    # As a division, because a product with 1 / 255 is rounded differently.
    scaled = keras.ops.divide(keras.ops.cast(pixels, "float32"), 255.0)
    return keras.Model(pixels, network(scaled, training=False))


def export_model(
    network: Any,
    path: Path,
    metadata: ModelMetadata,
    *,
    format: str,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write a model for another runtime.

    The batch dimension stays open. A file or SavedModel at the path is replaced.

    Args:
        network: Keras model of one input and one output; ``with_pixel_input`` gives one with
            ``metadata.takes_pixels``.
        path: File, or folder of a SavedModel.
        metadata: Written into the model; for TFLite to ``PATH.json``.
        format: One of ``ENDINGS``.
        check: Called with a path of the exported model before it takes the place of an earlier
            one, which stays if this raises an exception.

    Raises:
        ScoringError: The model cannot be converted, or the path cannot be written.
        SetupError: A package of the extra ``scoring`` is not installed.
    """
    writers = {
        KERAS: _write_keras,
        SAVED_MODEL: _write_saved_model,
        ONNX: _write_onnx,
        OPENVINO: _write_openvino,
        TFLITE: _write_tflite,
    }
    is_other = path.exists() and not (path / "saved_model.pb").is_file()
    if format == SAVED_MODEL and is_other:
        raise ScoringError(
            f"{path}: expected no folder or an earlier SavedModel, found something else. Name "
            "another folder"
        )
    try:
        with owned_folder("export") as folder:
            made = folder / f"model{ENDINGS[format]}"
            writers[format](network, made, metadata)
            if check is not None:
                check(made)
            _move(made, path, format)
    except OSError as error:
        raise ScoringError(f"{path} cannot be written: {error.strerror or error}") from error


def _write_keras(network: Any, made: Path, metadata: ModelMetadata) -> None:
    network.save(made)
    with zipfile.ZipFile(made, "a") as file:
        file.writestr(METADATA_FILE, metadata.to_json())


def _write_saved_model(network: Any, made: Path, metadata: ModelMetadata) -> None:
    _write_graph(network, made, SAVED_MODEL)
    extra = made / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / METADATA_FILE).write_text(metadata.to_json(), encoding="utf-8")


def _write_onnx(network: Any, made: Path, metadata: ModelMetadata) -> None:
    onnx = _required("onnx", ONNX)
    _required("tf2onnx", ONNX)
    with _quiet(ONNX):
        model = to_onnx(network)
    model.metadata_props.add(key=KEY, value=metadata.to_json())
    onnx.save(model, made)


def _write_openvino(network: Any, made: Path, metadata: ModelMetadata) -> None:
    openvino = _required("openvino", OPENVINO)
    original = made.with_suffix(".onnx")
    _write_onnx(network, original, metadata)
    model = openvino.Core().read_model(original.read_bytes())
    model.set_rt_info(metadata.to_json(), KEY)
    openvino.save_model(model, made, compress_to_fp16=False)


def _write_tflite(network: Any, made: Path, metadata: ModelMetadata) -> None:
    tf = _required("tensorflow", TFLITE)
    graph = made.with_name("saved_model")
    _write_graph(network, graph, TFLITE)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(graph))
    with _quiet(TFLITE):
        made.write_bytes(converter.convert())
    text = json.dumps(json.loads(metadata.to_json()), indent=2) + "\n"
    made.with_name(f"{made.name}.json").write_text(text)


def _move(made: Path, path: Path, format: str) -> None:
    """Put an exported model in its place, with the second file of some formats before it."""
    if format == SAVED_MODEL:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(made, path)
        return
    if format == OPENVINO:
        _replace_file(made.with_suffix(".bin"), path.with_suffix(".bin"))
    if format == TFLITE:
        _replace_file(made.with_name(f"{made.name}.json"), path.with_name(f"{path.name}.json"))
    _replace_file(made, path)


def _write_graph(network: Any, path: Path, name: str) -> None:
    """Write a SavedModel."""
    with _quiet(name):
        # Keras exports only models that have been called.
        network([_zeros(port) for port in network.inputs], training=False)
        network.export(path, format="tf_saved_model", verbose=False)


def _zeros(port: Any) -> Any:
    """Return one row of zeros for an input; an open side has one value."""
    shape = [1 if side is None else side for side in port.shape]
    return import_keras().ops.zeros(shape, port.dtype)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Report what a converter raises, and not what it prints and warns of."""
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            native_stderr_discarded(),
        ):
            warnings.simplefilter("ignore")
            yield
    except ScoringError:
        raise
    except Exception as error:
        raise ScoringError(
            f"the model cannot be exported as {name}: {describe(error)}. Try another format"
        ) from error


def _required(module: str, name: str) -> Any:
    return require_extra(module, extra="scoring", purpose=f"exporting as {name}")


def _replace_file(made: Path, path: Path) -> None:
    with replaced_file(path) as part:
        shutil.copyfile(made, part)
