"""Parameters: how the weights of a model reach the Python workers that score with it.

A classic session broadcasts them. Spark Connect has no broadcasts: there they are a file of
the session, which Spark gives to each task.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pyspark.sql import SparkSession

from glasses_spark.runtime.broadcast_files import broadcast
from glasses_spark.runtime.connect import is_connect, runs_locally
from glasses_spark.runtime.connect_worker import ProcessSettings
from glasses_spark.runtime.owned_folder import owned_folder
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.runtime.workers import worker_environment, worker_threads
from glasses_spark.scoring.predictor import TrainedModel

_ARCHIVE = "archive"
_ONNX = "onnx"


class Parameters(Protocol):
    """Fields of a model that every task can read."""

    @property
    def value(self) -> Any:
        """The fields ``weights``, ``archive`` and ``onnx``."""


@dataclass(frozen=True)
class FileParameters:
    """Fields of a model in a file of a session of Spark Connect.

    Attributes:
        name: Name of the file.
        settings: Settings of the processes that score.
    """

    name: str
    settings: ProcessSettings

    @property
    def value(self) -> dict[str, Any]:
        """The fields ``weights``, ``archive`` and ``onnx``, read within a task."""
        from pyspark import SparkFiles

        self.settings.apply()
        with np.load(SparkFiles.get(self.name), allow_pickle=False) as file:
            names = sorted(set(file.files) - {_ARCHIVE, _ONNX})
            contents = {
                name: file[name].tobytes() if name in file.files else None
                for name in (_ARCHIVE, _ONNX)
            }
            return {"weights": [file[name] for name in names], **contents}


def owner_of_shared(spark: SparkSession) -> object:
    """Return what shared parameters last as long as: the context, or the session of Connect."""
    return spark if is_connect(spark) else spark.sparkContext


def share_parameters(trained: TrainedModel, spark: SparkSession) -> Parameters:
    """Give the weights of a model, in whatever form, to the tasks of a session."""
    # The archive contains the weights.
    weights = list(trained.weights) if trained.archive is None else []
    if not is_connect(spark):
        context = spark.sparkContext
        fields = {"weights": weights, _ARCHIVE: trained.archive, _ONNX: trained.onnx}
        return broadcast(context, fields)
    arrays = {f"{number:08d}": array for number, array in enumerate(weights)}
    for field, content in ((_ARCHIVE, trained.archive), (_ONNX, trained.onnx)):
        if content is not None:
            arrays[field] = np.frombuffer(content, np.uint8)
    name = f"glasses-spark-{trained.digest.replace('/', '-')}.npz"
    with owned_folder("model") as folder:
        np.savez(folder / name, **arrays)
        spark.addArtifact(str(folder / name), file=True)
    at_once = task_slots(spark) if runs_locally(spark) else None
    return FileParameters(name, ProcessSettings.of(spark, at_once=at_once))


@contextmanager
def scoring_environment(spark: SparkSession) -> Iterator[None]:
    """Run the Python functions that the block creates in workers that may compute.

    Under Spark Connect, whose client cannot choose the workers, their settings go with the
    parameters.
    """
    if is_connect(spark):
        yield
        return
    context = spark.sparkContext
    threads = worker_threads(context, at_once=task_slots(spark))
    with worker_environment(context, threads=threads):
        yield
