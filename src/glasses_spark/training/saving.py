"""Saving: an estimator as a Spark ML folder, or as an HDF5 file that Elephas reads as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import h5py
import numpy as np
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)

from glasses_spark.errors import ScoringError, TrainingError
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.elephas import ElephasEstimator
from glasses_spark.runtime.replaced_file import replaced_file
from glasses_spark.scoring import model_file, storage
from glasses_spark.scoring.damaged_file import damage_reported
from glasses_spark.scoring.file_names import KERAS, file_to_read, file_to_write, require_folder
from glasses_spark.scoring.one_file import open_h5
from glasses_spark.scoring.stage_writer import StageWriter
from glasses_spark.training.optimizers import OptimizerState

# The estimator imports this module.
if TYPE_CHECKING:
    from glasses_spark.training.estimator import GlassesEstimator

_KERAS_ADVICE: Final = (
    "a Keras file has no place for the settings of an estimator. Use .h5, or a name without a "
    "suffix for a Spark ML folder"
)


class HasSavedForms(MLReadable[Any], MLWritable):
    """Mixin: an estimator as a Spark ML folder or an HDF5 file."""

    def save(self, path: str) -> None:
        """Save the estimator in the form that the suffix of the path names.

        - ``.h5`` or ``.hdf5``: a file that Elephas' ``load_ml_estimator`` reads as well.
        - no suffix: a Spark ML folder.

        Raises:
            ScoringError: The path cannot be written, or the suffix is that of another format.
        """
        file = file_to_write(str(path))
        if file is None:
            self.write().save(str(path))
            return
        if file.suffix == KERAS:
            raise ScoringError(f"{path}: {_KERAS_ADVICE}")
        try:
            save_h5(cast("GlassesEstimator", self), file)
        except OSError as error:
            raise ScoringError(f"{path} cannot be written: {error}") from error

    def write(self) -> MLWriter:
        """Return a writer for a Spark ML folder, also inside a ``Pipeline``."""
        return _EstimatorWriter(cast("GlassesEstimator", self))

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return a reader for the folders of `write`."""
        return _EstimatorReader()

    @classmethod
    def load(cls, path: str) -> GlassesEstimator:
        """Load an estimator from a Spark ML folder, or from a file of `load_ml_estimator`.

        Raises:
            ScoringError: The folder cannot be read.
            TrainingError: The file contains no estimator.
        """
        file = file_to_read(str(path))
        if file is not None:
            return load_ml_estimator(str(file))
        estimator: GlassesEstimator = cls.read().load(str(path))
        return estimator


def save_h5(estimator: GlassesEstimator, path: Path) -> None:
    """Save an estimator to an HDF5 file, which Elephas' ``load_ml_estimator`` reads as well."""
    config, name = estimator.get_config(), type(estimator).__name__
    # Elephas takes a number of workers only, and has one by default.
    numbered = {"num_workers": None} if isinstance(config["num_workers"], str) else {}
    for_elephas = {
        **{key: config[key] for key in ElephasEstimator.get_config(estimator)},
        "optimizer_config": config["optimizer_config"],
        **numbered,
    }
    known = {key: value for key, value in for_elephas.items() if value is not None}
    with replaced_file(path) as part, h5py.File(part, mode="w") as file:
        model_file.write_config(file, model_file.ELEPHAS_CONFIG, name, known)
        model_file.write_config(file, model_file.OWN_CONFIG, name, config)
        model_file.write_arrays(file, "weights", _weights(estimator))
        model_file.write_archive(file, estimator.archive)
        model_file.write_arrays(file, "optimizer", _optimizer_arrays(estimator))


def load_ml_estimator(file_name: str) -> GlassesEstimator:
    """Load an estimator from an ``.h5`` file, saved by this package or by Elephas.

    Args:
        file_name: Path of the file.

    Raises:
        TrainingError: The file does not exist, or contains no estimator.
    """
    from glasses_spark.training.estimator import GlassesEstimator

    if not Path(file_name).is_file():
        raise TrainingError(f"{file_name}: expected a saved estimator, got no such file")
    if not h5py.is_hdf5(file_name):
        raise TrainingError(
            f"{file_name}: expected an estimator saved as HDF5, got another format. A Keras model "
            "becomes an estimator by build_estimator(keras.saving.load_model(path), ...)"
        )
    with damage_reported(file_name, TrainingError):
        with open_h5(file_name, TrainingError) as file:
            config = model_file.read_config(file)
            weights = model_file.read_arrays(file, "weights")
            archive = model_file.read_archive(file)
            optimizer = model_file.read_arrays(file, "optimizer")
        if config is None:
            raise TrainingError(
                f"{file_name}: expected an estimator saved by Elephas, got other HDF5"
            )
        if "epochs" not in config:
            raise TrainingError(
                f"{file_name}: expected an estimator, got a model. Use load_ml_transformer"
            )
        return _restore(GlassesEstimator(**config), weights or None, archive, optimizer)


class _EstimatorWriter(StageWriter):
    def __init__(self, estimator: GlassesEstimator) -> None:
        super().__init__()
        self._estimator = estimator

    def save(self, path: str) -> None:
        # Before an overwriting writer deletes what is there.
        require_folder(path)
        super().save(path)

    def saveImpl(self, path: str) -> None:
        estimator, spark = self._estimator, self.sparkSession
        estimator.require_serialized()
        stage = estimator.copy()
        # JSON cannot hold functions and classes; they are set again after loading.
        stage.clear(stage.custom_objects)
        metadata = DefaultParamsWriter._get_metadata_to_save(stage, spark)
        storage.write_metadata(spark, f"{path}/metadata", metadata)
        if estimator.initial_weights is not None:
            storage.write_weights(spark, f"{path}/weights", _weights(estimator))
        if estimator.archive is not None:
            storage.write_archive(spark, f"{path}/archive", estimator.archive)
        if arrays := _optimizer_arrays(estimator):
            storage.write_weights(spark, f"{path}/optimizer", arrays)


class _EstimatorReader(MLReader["GlassesEstimator"]):
    def load(self, path: str) -> GlassesEstimator:
        from glasses_spark.training.estimator import GlassesEstimator

        spark = self.sparkSession
        with damage_reported(path, TrainingError):
            metadata = json.loads(storage.read_metadata(spark, f"{path}/metadata"))
            estimator = GlassesEstimator()
            estimator._resetUid(metadata["uid"])
            DefaultParamsReader.getAndSetParams(estimator, metadata)
            weights, optimizer = (
                storage.read_weights(spark, f"{path}/{name}")
                if hadoop.exists(spark, f"{path}/{name}")
                else None
                for name in ("weights", "optimizer")
            )
            archive = storage.read_archive(spark, f"{path}/archive")
            return _restore(estimator, weights, archive, optimizer or [])


def _weights(estimator: GlassesEstimator) -> list[Any]:
    return [np.asarray(weight) for weight in estimator.initial_weights or ()]


def _optimizer_arrays(estimator: GlassesEstimator) -> list[Any]:
    state = estimator.state_of_optimizer()
    if state == OptimizerState():
        return []
    return [np.array(state.undecayed, np.int64), *state.variables]


def _restore(
    estimator: GlassesEstimator, weights: Any, archive: bytes | None, optimizer: list[Any]
) -> GlassesEstimator:
    estimator.initial_weights, estimator.archive = weights, archive
    if optimizer:
        undecayed, *variables = optimizer
        estimator.set_optimizer_state(OptimizerState(tuple(map(int, undecayed)), tuple(variables)))
    return estimator
