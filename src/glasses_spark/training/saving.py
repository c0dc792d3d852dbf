"""Saving: estimators in HDF5 files, the format of Elephas."""

from __future__ import annotations

import json
from pathlib import Path

import h5py

from glasses_spark.errors import TrainingError
from glasses_spark.training.estimator import GlassesEstimator


def load_ml_estimator(file_name: str) -> GlassesEstimator:
    """Load an estimator from an ``.h5`` file, saved by this package or by Elephas.

    Args:
        file_name: Path of the file.

    Raises:
        TrainingError: The file does not exist, or contains no estimator.
    """
    if not Path(file_name).is_file():
        raise TrainingError(f"{file_name}: expected a saved estimator, got no such file")
    with h5py.File(file_name, mode="r") as file:
        stored = file.attrs.get("distributed_config")
    if stored is None:
        raise TrainingError(f"{file_name}: expected an estimator saved by Elephas, got other HDF5")
    config = json.loads(stored)["config"]
    return GlassesEstimator(**{name: value for name, value in config.items() if value is not None})
