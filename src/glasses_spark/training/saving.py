"""Saving: load an estimator from Elephas' form."""

from __future__ import annotations

import json
from pathlib import Path

import h5py

from glasses_spark.errors import TrainingError
from glasses_spark.training.estimator import GlassesEstimator


def load_ml_estimator(file_name: str) -> GlassesEstimator:
    """Load an estimator from an ``.h5`` file, written here or by Elephas.

    Raises:
        TrainingError: The file is not there or holds no such estimator.
    """
    if not Path(file_name).is_file():
        raise TrainingError(f"{file_name}: expected a saved estimator, got no such file")
    with h5py.File(file_name, mode="r") as file:
        stored = file.attrs.get("distributed_config")
    if stored is None:
        raise TrainingError(f"{file_name}: expected an estimator saved by Elephas, got other HDF5")
    config = json.loads(stored)["config"]
    return GlassesEstimator(**{name: value for name, value in config.items() if value is not None})
