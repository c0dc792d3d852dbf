"""Saved models: the folders of Spark ML and the HDF5 files of Elephas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import h5py
import numpy as np
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.elephas import ModelType, ModelTypeEncoder, as_enum
from glasses_spark.scoring.stage_writer import StageWriter
from glasses_spark.scoring.storage import (
    read_archive,
    read_metadata,
    read_weights,
    write_archive,
    write_metadata,
    write_weights,
)

# The transformer imports this module.
if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

# Files with these suffixes have Elephas' own format; any other path is a Spark ML folder.
ELEPHAS_SUFFIXES: Final = (".h5", ".hdf5")


def save_h5(model: GlassesModel, path: str) -> None:
    """Save a model to a local file, which Elephas can also read."""
    with h5py.File(path, mode="w") as file:
        config = {"class_name": type(model).__name__, "config": model.get_config()}
        file.attrs["distributed_config"] = json.dumps(config, cls=ModelTypeEncoder)
        file.attrs["history"] = json.dumps(model.history)
        for index, array in enumerate(getattr(model, "weights", [])):
            file.create_dataset(f"weights/{index:05d}", data=array)
        if model.archive is not None:
            file.create_dataset("archive", data=np.frombuffer(model.archive, np.uint8))


def load_ml_transformer(file_name: str) -> GlassesModel:
    """Load a model from an ``.h5`` file, saved by this library or by Elephas.

    Args:
        file_name: Path of the file.

    Raises:
        ScoringError: The file is missing or contains no model.
    """
    from glasses_spark.scoring.transformer import GlassesModel

    if not Path(file_name).is_file():
        raise ScoringError(f"{file_name}: expected a saved model, but the file does not exist")
    with h5py.File(file_name, mode="r") as file:
        stored = file.attrs.get("distributed_config")
        if stored is None:
            raise ScoringError(
                f"{file_name}: expected a model saved by Elephas, found HDF5 of another kind"
            )
        config = json.loads(stored, object_hook=as_enum)["config"]
        history = json.loads(file.attrs.get("history", "[]"))
        weights = [np.asarray(weight) for weight in config.pop("weights", [])]
        if "weights" in file:
            weights = [file["weights"][name][()] for name in sorted(file["weights"])]
        archive = file["archive"][()].tobytes() if "archive" in file else None
    # Elephas writes all parameters; null stands for a parameter that is not set.
    config = {name: value for name, value in config.items() if value is not None}
    if weights:
        config["weights"] = weights
    return GlassesModel(history=history, archive=archive, **config)


class ModelWriter(StageWriter):
    """Writes a model to a Spark ML folder."""

    def __init__(self, model: GlassesModel) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        """Write the metadata, the weights and the archive, if there is one."""
        model = self._model
        stage = model.copy()
        # JSON cannot hold functions and classes; users set them again after loading.
        stage.clear(stage.custom_objects)
        model_type = getattr(model, "model_type", None)
        extra = {
            "model_type": model_type.name if model_type else None,
            "history": json.dumps(model.history),
        }
        metadata = DefaultParamsWriter._get_metadata_to_save(stage, self.sparkSession, extra)
        write_metadata(self.sparkSession, f"{path}/metadata", metadata)
        write_weights(self.sparkSession, f"{path}/weights", model._trained().weights)
        if model.archive is not None:
            write_archive(self.sparkSession, f"{path}/archive", model.archive)


class ModelReader(MLReader["GlassesModel"]):
    """Reads a model from a Spark ML folder."""

    def load(self, path: str) -> GlassesModel:
        """Read the folder, which an earlier version may have written.

        Raises:
            ScoringError: The folder cannot be read.
        """
        from glasses_spark.scoring.transformer import GlassesModel

        metadata = json.loads(read_metadata(self.sparkSession, f"{path}/metadata"))
        model = GlassesModel(
            weights=read_weights(self.sparkSession, f"{path}/weights"),
            archive=read_archive(self.sparkSession, f"{path}/archive"),
            history=json.loads(metadata.get("history", "[]")),
            model_type=ModelType[metadata["model_type"]] if metadata.get("model_type") else None,
        )
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
