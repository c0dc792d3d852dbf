"""MLlib model: a Spark model that takes the vectors, matrices and labelled points of MLlib."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark import RDD
from pyspark.mllib.linalg import DenseMatrix, DenseVector, Matrix, Vector

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.elephas import SparkMLlibModel
from glasses_spark.training.pair_rows import pair_of_point
from glasses_spark.training.spark_model import GlassesSparkModel


class GlassesSparkMLlibModel(GlassesSparkModel, SparkMLlibModel):
    """Trains a Keras model on an RDD of MLlib's ``LabeledPoint``; see `GlassesSparkModel`."""

    def fit(  # type: ignore[override]
        self,
        labeled_points: RDD[Any],
        epochs: int = 10,
        batch_size: int = 32,
        verbose: int | str = 0,
        validation_split: float = 0.1,
        categorical: bool = False,
        nb_classes: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Train the model on an RDD of labelled points.

        Args:
            labeled_points: The points.
            epochs: Passes over the rows.
            batch_size: Rows in one step of one worker.
            verbose: 0 writes nothing, 1 keeps one line up to date, 2 writes a line an epoch.
            validation_split: Fraction of the rows used for validation, in [0, 1).
            categorical: Whether labels are class numbers, to be encoded as one-hot rows.
            nb_classes: Number of classes of categorical labels; by default that of the
                model's outputs.
            kwargs: Further arguments of `GlassesSparkModel.fit`.

        Raises:
            ConfigError, DataError, TrainingError, WorkerError: See `GlassesSparkModel.fit`.
        """
        outputs = self.master_network.outputs
        if len(outputs) != 1:
            raise ConfigError(
                f"a labelled point has one label, and the model has {len(outputs)} outputs. Use "
                "GlassesSparkModel"
            )
        arguments = {
            "epochs": epochs,
            "batch_size": batch_size,
            "verbose": verbose,
            "validation_split": validation_split,
            **kwargs,
        }
        classes = {"nb_classes": nb_classes or int(outputs[0].shape[-1])} if categorical else None
        pairs = (
            labeled_points.map(pair_of_point) if isinstance(labeled_points, RDD) else labeled_points
        )
        self._train(pairs, arguments, classes)

    def predict(self, mllib_data: Any) -> Any:
        """Score a vector, the rows of a matrix, or an RDD or NumPy array of rows.

        Args:
            mllib_data: MLlib ``Vector`` or ``Matrix``, or what `GlassesSparkModel.predict`
                takes.

        Returns:
            A ``DenseVector`` of the outputs for a vector, a ``DenseMatrix`` with a row for each
            row for a matrix, else a list.
        """
        is_vector, is_matrix = isinstance(mllib_data, Vector), isinstance(mllib_data, Matrix)
        if not (is_vector or is_matrix):
            return super().predict(mllib_data)
        rows = np.atleast_2d(mllib_data.toArray())
        outputs = np.reshape(super().predict(rows), (len(rows), -1)).astype(np.float64)
        if is_vector:
            return DenseVector(outputs[0])
        # MLlib stores matrices column by column.
        return DenseMatrix(len(outputs), outputs.shape[1], outputs.ravel(order="F"))
