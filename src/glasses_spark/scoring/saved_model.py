"""Saved models: the forms of a fitted model, and its Spark ML folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.elephas import ModelType
from glasses_spark.scoring.damaged_file import damage_reported
from glasses_spark.scoring.file_names import KERAS, file_to_read, file_to_write, require_folder
from glasses_spark.scoring.model_file import load_ml_transformer, save_h5, save_keras
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


class HasSavedForms(MLReadable[Any], MLWritable):
    """Mixin: a fitted model as a Spark ML folder, an HDF5 file or a Keras file."""

    def save(self, path: str) -> None:
        """Save the model in the form that the suffix of the path names.

        - ``.h5`` or ``.hdf5``: a file that Elephas' ``load_ml_transformer`` reads as well.
        - ``.keras``: a file that ``keras.saving.load_model`` reads as well. Its logits are
          divided by the temperature.
        - no suffix: a Spark ML folder.

        Args:
            path: Folder (path or URI), or local file, which is replaced. A folder must not
                exist yet; see ``write().overwrite()``.

        Raises:
            ScoringError: The folder exists or cannot be written, a file is not on a local
                disk, or the suffix is that of another format.
        """
        file = file_to_write(str(path))
        if file is None:
            self.write().save(str(path))
            return
        write = save_keras if file.suffix == KERAS else save_h5
        try:
            write(cast("GlassesModel", self), file)
        except OSError as error:
            raise ScoringError(f"{path} cannot be written: {error}") from error

    def export(self, path: str, *, format: str = "onnx", pixels: bool = False) -> None:
        """Write the model for another runtime, and compare it with Keras.

        `Scorer` reads ``onnx``, without Spark and without TensorFlow.

        Args:
            path: Local file, or folder of a ``saved-model``; replaced if it exists.
            format: ``onnx``, ``openvino``, ``tflite``, ``saved-model`` or ``keras``.
            pixels: Whether the exported model takes grey pixels, uint8, and divides them by 255
                itself, for a model of images ``(batch, height, width, 1)``.

        Raises:
            ScoringError: The model cannot be converted or differs from Keras by more than 1e-5,
                the path cannot be written, or the name has another ending than the format.
            SetupError: A package of the extra ``scoring`` is not installed.
        """
        from glasses_spark.scoring.checked_export import export_checked

        export_checked(cast("GlassesModel", self), str(path), format=format, pixels=pixels)

    def write(self) -> MLWriter:
        """Return a writer of Spark ML folders, also used by ``PipelineModel``."""
        return ModelWriter(cast("GlassesModel", self))

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return a reader of Spark ML folders."""
        return ModelReader()

    @classmethod
    def load(
        cls, path: str, *, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
    ) -> GlassesModel:
        """Load a model from a Spark ML folder or from a file of `load_ml_transformer`.

        Args:
            path: Folder (path or URI), or local file.
            custom_objects: Classes and functions that the model refers to by name. No form
                contains their code.
            safe_mode: Whether to refuse a ``Lambda`` layer, whose code would run.

        Raises:
            ScoringError: The path cannot be read or contains no model.
        """
        file = file_to_read(str(path))
        if file is not None:
            return load_ml_transformer(
                str(file), custom_objects=custom_objects, safe_mode=safe_mode
            )
        model: GlassesModel = cls.read().load(str(path))
        model.safe_mode = safe_mode
        if custom_objects:
            model.set_custom_objects(dict(custom_objects))
        return model


class ModelWriter(StageWriter):
    """Writes a model to a Spark ML folder."""

    def __init__(self, model: GlassesModel) -> None:
        super().__init__()
        self._model = model

    def save(self, path: str) -> None:
        """Write the folder.

        Raises:
            ScoringError: The path is the name of a file.
        """
        # Before an overwriting writer deletes what is there.
        require_folder(path)
        super().save(path)

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

        with damage_reported(path):
            metadata = json.loads(read_metadata(self.sparkSession, f"{path}/metadata"))
            kind = metadata.get("model_type")
            model = GlassesModel(
                weights=read_weights(self.sparkSession, f"{path}/weights"),
                archive=read_archive(self.sparkSession, f"{path}/archive"),
                history=json.loads(metadata.get("history", "[]")),
                model_type=ModelType[kind] if kind else None,
            )
            model._resetUid(metadata["uid"])
            DefaultParamsReader.getAndSetParams(model, metadata)
            return model
