"""Estimator folder: an estimator as a Spark ML folder."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader

from glasses_spark.runtime import hadoop
from glasses_spark.scoring.saved_model import StageWriter
from glasses_spark.scoring.storage import (
    read_archive,
    read_metadata,
    read_weights,
    write_archive,
    write_metadata,
    write_weights,
)
from glasses_spark.training.optimizers import OptimizerState


class EstimatorWriter(StageWriter):
    """Writes the folder of an estimator.

    Args:
        estimator: A `GlassesEstimator`.
    """

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        self._estimator = estimator

    def saveImpl(self, path: str) -> None:
        """Write the folder.

        Raises:
            TrainingError: JSON would not describe a loss or metric completely.
        """
        self._estimator.require_serialized()
        stage = self._estimator.copy()
        # JSON cannot hold functions and classes; they are set again after loading.
        stage.clear(stage.custom_objects)
        metadata = DefaultParamsWriter._get_metadata_to_save(stage, self.sparkSession)
        write_metadata(self.sparkSession, f"{path}/metadata", metadata)
        if self._estimator.initial_weights is not None:
            weights = [np.asarray(weight) for weight in self._estimator.initial_weights]
            write_weights(self.sparkSession, f"{path}/weights", weights)
        if self._estimator.archive is not None:
            write_archive(self.sparkSession, f"{path}/archive", self._estimator.archive)
        state = self._estimator.state_of_optimizer()
        if state != OptimizerState():
            arrays = [np.array(state.undecayed, np.int64), *state.variables]
            write_weights(self.sparkSession, f"{path}/optimizer", arrays)


class EstimatorReader(MLReader[Any]):
    """Reads the folder of an estimator.

    Args:
        kind: Class of the estimator.
    """

    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self._kind = kind

    def load(self, path: str) -> Any:
        """Return the estimator in a folder."""
        metadata = json.loads(read_metadata(self.sparkSession, f"{path}/metadata"))
        estimator = self._kind()
        estimator._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(estimator, metadata)
        if hadoop.exists(self.sparkSession, f"{path}/weights"):
            estimator.initial_weights = read_weights(self.sparkSession, f"{path}/weights")
        estimator.archive = read_archive(self.sparkSession, f"{path}/archive")
        if hadoop.exists(self.sparkSession, f"{path}/optimizer"):
            undecayed, *variables = read_weights(self.sparkSession, f"{path}/optimizer")
            state = OptimizerState(tuple(map(int, undecayed)), tuple(variables))
            estimator.set_optimizer_state(state)
        return estimator
