"""Model files: a fitted model in one local file, HDF5 as Elephas reads it or Keras' own."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.causes import telling_line
from glasses_spark.runtime.elephas import ModelTypeEncoder, as_enum
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model, unpack_model
from glasses_spark.runtime.replaced_file import replaced_file
from glasses_spark.scoring.damaged_file import damage_reported, keras_cannot_load
from glasses_spark.scoring.one_file import open_h5

# The transformer imports this module.
if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

# Where Elephas keeps its configuration, and where this package keeps its own. Elephas' loaders
# refuse a name that they do not know.
ELEPHAS_CONFIG: Final = "distributed_config"
OWN_CONFIG: Final = "glasses_spark_config"
_ELEPHAS_NAMES: Final = (
    *("keras_model_config", "labelCol", "featuresCol", "outputCol"),
    *("model_type", "inference_batch_size"),
)

# Entry of a Keras file, which Keras itself does not read.
_STAGE: Final = "glasses_spark.json"
# Enough for the history of 10,000 epochs. The file may come from a stranger.
_LARGEST_STAGE: Final = 50_000_000

# Params that a Keras file holds in another form, or not at all.
_NOT_IN_STAGE: Final = ("keras_model_config", "temperature", "custom_objects")


def save_h5(model: GlassesModel, path: Path) -> None:
    """Save a model to an HDF5 file, which Elephas' ``load_ml_transformer`` reads as well.

    Elephas takes the weights as text, so they are in the file twice. It knows no temperature:
    the weights of its text are divided by it.
    """
    config = model.get_config()
    own_weights = [np.asarray(array) for array in getattr(model, "weights", [])]
    calibrated = own_weights
    if own_weights and model.get_temperature() != 1.0:
        calibrated = model.keras_model().get_weights()
    for_elephas = {name: config[name] for name in _ELEPHAS_NAMES if config[name] is not None}
    for_elephas["weights"] = [array.tolist() for array in calibrated]
    with replaced_file(path) as part, h5py.File(part, mode="w") as file:
        write_config(file, ELEPHAS_CONFIG, type(model).__name__, for_elephas)
        write_config(file, OWN_CONFIG, type(model).__name__, config)
        file.attrs["history"] = json.dumps(model.history)
        write_arrays(file, "weights", own_weights)
        write_archive(file, model.archive)


def save_keras(model: GlassesModel, path: Path) -> None:
    """Save a model to a ``.keras`` file, which ``keras.saving.load_model`` reads.

    Its logits are divided by the temperature. Params and history are in an entry of their own.
    """
    config = {
        name: value for name, value in model.get_config().items() if name not in _NOT_IN_STAGE
    }
    stage = {"config": config, "history": model.history}
    content = io.BytesIO(pack_model(model.keras_model()))
    with zipfile.ZipFile(content, "a") as file:
        file.writestr(_STAGE, json.dumps(stage, cls=ModelTypeEncoder))
    with replaced_file(path) as part:
        part.write_bytes(content.getvalue())


def load_ml_transformer(
    file_name: str, *, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> GlassesModel:
    """Load a model from a local file.

    Args:
        file_name: An ``.h5`` file of this library, of Elephas or of Keras, or a ``.keras``
            file.
        custom_objects: Classes and functions that the model refers to by name.
        safe_mode: Whether to refuse a ``Lambda`` layer, whose code would run.

    Raises:
        ScoringError: The file is missing or contains no model.
    """
    path = Path(file_name)
    if not path.is_file():
        raise ScoringError(f"{file_name}: expected a saved model, but the file does not exist")
    objects = dict(custom_objects or {})
    with damage_reported(file_name):
        if h5py.is_hdf5(path):
            with open_h5(path) as file:
                config = read_config(file)
                if config is not None and "keras_model_config" in config:
                    return _of_elephas(path, file, config, objects, safe_mode=safe_mode)
                if "model_config" not in file.attrs:
                    raise ScoringError(
                        f"{file_name}: expected a model saved by Elephas or Keras, found HDF5 of "
                        "another kind"
                    )
        elif not zipfile.is_zipfile(path):
            raise ScoringError(
                f"{file_name}: expected a saved model, found neither HDF5 nor a Keras file"
            )
        return _of_keras(path, objects, safe_mode=safe_mode)


def write_config(file: Any, attribute: str, class_name: str, config: Mapping[str, Any]) -> None:
    """Write the Params of a stage to an attribute of an HDF5 file."""
    content = {"class_name": class_name, "config": config}
    file.attrs[attribute] = json.dumps(content, cls=ModelTypeEncoder)


def read_config(file: Any) -> dict[str, Any] | None:
    """Read the Params of a stage from an HDF5 file; None if it has none.

    Elephas writes all of its Params, and null for one that is not set.
    """
    stored = file.attrs.get(OWN_CONFIG, file.attrs.get(ELEPHAS_CONFIG))
    if stored is None:
        return None
    config = json.loads(stored, object_hook=as_enum)["config"]
    return {name: value for name, value in config.items() if value is not None}


def write_arrays(file: Any, group: str, arrays: Sequence[Any]) -> None:
    """Write arrays to a group of an HDF5 file."""
    for index, array in enumerate(arrays):
        file.create_dataset(f"{group}/{index:05d}", data=array)


def read_arrays(file: Any, group: str) -> list[Any]:
    """Read the arrays of a group; none if the file has no such group."""
    return [file[group][name][()] for name in sorted(file[group])] if group in file else []


def write_archive(file: Any, archive: bytes | None) -> None:
    """Write a model's ``.keras`` file, if there is one, to an HDF5 file."""
    if archive is not None:
        file.create_dataset("archive", data=np.frombuffer(archive, np.uint8))


def read_archive(file: Any) -> bytes | None:
    """Read what `write_archive` has written."""
    return bytes(file["archive"][()].tobytes()) if "archive" in file else None


def _of_elephas(
    path: Path, file: Any, config: dict[str, Any], objects: Mapping[str, Any], *, safe_mode: bool
) -> GlassesModel:
    from glasses_spark.scoring.transformer import GlassesModel

    if "epochs" in config:
        raise ScoringError(
            f"{path}: expected a fitted model, found an estimator. Use load_ml_estimator"
        )
    stored = [np.asarray(weight) for weight in config.pop("weights", [])]
    if weights := read_arrays(file, "weights") or stored:
        config["weights"] = weights
    model = GlassesModel(
        history=json.loads(file.attrs.get("history", "[]")),
        archive=read_archive(file),
        safe_mode=safe_mode,
        **config,
    )
    return model.set_custom_objects(dict(objects)) if objects else model


def _of_keras(path: Path, objects: Mapping[str, Any], *, safe_mode: bool) -> GlassesModel:
    from glasses_spark.scoring.transformer import GlassesModel

    network = _load_keras(path, objects, safe_mode=safe_mode)
    if not network.built or not getattr(network, "inputs", None):
        raise ScoringError(f"{path}: expected a model with an input shape, found one without")
    stage = _read_stage(path)
    try:
        model = GlassesModel(
            **stage.get("config", {}),
            history=stage.get("history", []),
            keras_model_config=network.to_json(),
            weights=network.get_weights(),
            archive=pack_model(network),
            safe_mode=safe_mode,
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ScoringError(f"{path}: {_STAGE} is malformed: {telling_line(str(error))}") from error
    return model.set_custom_objects(dict(objects)) if objects else model


def _load_keras(path: Path, objects: Mapping[str, Any], *, safe_mode: bool) -> Any:
    try:
        if zipfile.is_zipfile(path):
            return unpack_model(path.read_bytes(), objects, safe_mode=safe_mode)
        keras = import_keras()
        with keras.utils.custom_object_scope(dict(objects)):
            return keras.saving.load_model(path, compile=False, safe_mode=safe_mode)
    except Exception as error:
        raise keras_cannot_load(str(path), error, safe_mode=safe_mode) from error


def _read_stage(path: Path) -> dict[str, Any]:
    """Read Params and history from a Keras file; none from one that Keras wrote."""
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as file:
        if _STAGE not in file.namelist():
            return {}
        # A bounded read: the size in a zip file's directory may be wrong.
        with file.open(_STAGE) as entry:
            text = entry.read(_LARGEST_STAGE)
    try:
        stage = json.loads(text, object_hook=as_enum)
        config, history = dict(stage["config"]), list(stage["history"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ScoringError(f"{path}: {_STAGE} is malformed: {telling_line(str(error))}") from error
    kept = {name: config[name] for name in config if name not in _NOT_IN_STAGE}
    return {"config": {k: v for k, v in kept.items() if v is not None}, "history": history}
