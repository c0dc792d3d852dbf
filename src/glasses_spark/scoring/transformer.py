"""Transformer: a fitted model as a Spark ML stage that adds predictions to a frame."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from pyspark import Broadcast, SparkContext, keyword_only
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasRawPredictionCol
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from glasses_spark.errors import ScoringError
from glasses_spark.notebook_html import cell, folded, learning_charts, number, paragraph, table
from glasses_spark.runtime.elephas import ElephasTransformer, ModelType, ModelTypeEncoder, as_enum
from glasses_spark.runtime.location import SCHEME
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.runtime.workers import worker_environment, worker_threads
from glasses_spark.scoring.features import features_column
from glasses_spark.scoring.history_list import Epochs
from glasses_spark.scoring.layer_table import layer_rows
from glasses_spark.scoring.predictor import TrainedModel
from glasses_spark.scoring.storage import (
    digest,
    read_metadata,
    read_weights,
    write_metadata,
    write_weights,
)
from glasses_spark.scoring.udf import scoring_function

# Files with these endings are in Elephas' own form; anything else is a Spark ML folder.
ELEPHAS_SUFFIXES: Final = (".h5", ".hdf5")

# Rows that the model sees at once where `inference_batch_size` is not set.
INFERENCE_BATCH: Final = 256


class GlassesModel(ElephasTransformer, HasRawPredictionCol, MLWritable, MLReadable["GlassesModel"]):
    """A fitted Keras model; drop-in for Elephas' ``ElephasTransformer``.

    ``transform`` adds the column ``outputCol``: for classification an
    array<double> of what the model gives, where ``prediction[0]`` of a binary
    model is the probability of class 1; for regression a double. With
    ``rawPredictionCol`` set, it also adds that column: the logit, a double.

    The features column may hold grey pixels (binary), a Spark ML vector or an
    array of numbers. Each row is scored beside its other columns, in one pass;
    a prediction can not end up in another row.

    A ``temperature`` other than 1 divides the logits before the sigmoid, here and
    in `keras_model`; ``weights`` stay those of the fit.

    Attributes:
        weights: The weights, as ``model.get_weights()`` gives them.
    """

    temperature: Param[float] = Param(
        Params._dummy(),
        "temperature",
        "number above 0 by which logits are divided before the sigmoid",
        TypeConverters.toFloat,
    )

    @keyword_only
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._setDefault(rawPredictionCol="", outputCol="prediction", temperature=1.0)
        self._shipped: tuple[str, Broadcast[Any]] | None = None

    @property
    def history(self) -> Epochs:
        """One dictionary an epoch, as ``history.json`` has it."""
        return Epochs(self._history)

    def keras_model(self) -> Any:
        """The fitted Keras model, with its weights, for use outside Spark."""
        return self._trained().build()

    def set_raw_prediction_col(self, value: str) -> GlassesModel:
        """Set the column for logits; an empty name leaves it out."""
        self._set(rawPredictionCol=value)
        return self

    def get_temperature(self) -> float:
        """The number by which logits are divided before the sigmoid; 1 by default."""
        return float(self.getOrDefault(self.temperature))

    def set_temperature(self, value: float) -> GlassesModel:
        """Set the number, above 0, by which logits are divided before the sigmoid."""
        self._set(temperature=value)
        return self

    def get_config(self) -> dict[str, Any]:
        """The parameters as Elephas keeps them, without the weights, which are kept apart."""
        config = super().get_config()
        del config["weights"]
        return {
            **config,
            "rawPredictionCol": self.getRawPredictionCol(),
            "inference_batch_size": self.get_inference_batch_size(),
            "temperature": self.get_temperature(),
        }

    def save(self, path: str) -> None:
        """Save the model: ``.h5`` in Elephas' form, else as a Spark ML folder.

        Args:
            path: File or folder. A Spark ML folder must not exist yet; see
                ``write().overwrite()``.
        """
        if not str(path).endswith(ELEPHAS_SUFFIXES):
            self.write().save(path)
            return
        if SCHEME.match(str(path)):
            raise ScoringError(
                f"{path}: an HDF5 file lies on this machine's disk. Name a path, or a folder, "
                "which may be at any URI"
            )
        with h5py.File(path, mode="w") as file:
            config = {"class_name": type(self).__name__, "config": self.get_config()}
            file.attrs["distributed_config"] = json.dumps(config, cls=ModelTypeEncoder)
            file.attrs["history"] = json.dumps(self.history)
            for place, array in enumerate(getattr(self, "weights", [])):
                file.create_dataset(f"weights/{place:05d}", data=array)

    def write(self) -> MLWriter:
        """A writer for a Spark ML folder, also inside a ``PipelineModel``."""
        return _ModelWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """A reader of what `write` wrote."""
        return _ModelReader()

    @classmethod
    def load(cls, path: str) -> GlassesModel:
        """Load a model from a Spark ML folder, or from an ``.h5`` file in Elephas' form."""
        if str(path).endswith(ELEPHAS_SUFFIXES):
            return load_ml_transformer(path)
        model: GlassesModel = cls.read().load(path)
        return model

    def _repr_html_(self) -> str:
        weights = getattr(self, "weights", None)
        size = "no weights" if weights is None else f"{_count(weights):,} parameters"
        given = filter(None, (self.getOutputCol(), self.getRawPredictionCol()))
        columns = f"From {self.getFeaturesCol()} to {', '.join(given)}"
        if self.get_temperature() != 1.0:
            columns += f"; logits divided by {number(self.get_temperature())}"
        layers = (
            layer_rows(self.get_keras_model_config())
            if self.isDefined(self.keras_model_config)
            else []
        )
        return cell(
            f"{type(self).__name__}: {size}",
            paragraph(columns),
            learning_charts(self.history),
            folded(
                f"{len(layers)} layers", table(["layer", "kind", "settings"], layers, kind="text")
            ),
        )

    def _trained(self) -> TrainedModel:
        config, weights = self.get_keras_model_config(), getattr(self, "weights", None)
        if weights is None:
            raise ScoringError("expected a model with weights, got one without; fit or load it")
        temperature = self.get_temperature()
        if not 0 < temperature < math.inf:
            raise ScoringError(f"temperature: expected a number above 0, got {temperature}")
        weights = [np.asarray(array) for array in weights]
        return TrainedModel(
            digest=f"{digest(config, weights)}/{temperature}",
            config=config,
            weights=weights,
            custom_objects=self.get_custom_objects(),
            temperature=temperature,
        )

    def _transform(self, frame: DataFrame) -> DataFrame:
        output, raw = self.getOutputCol(), self.getRawPredictionCol()
        for name in filter(None, (output, raw)):
            if name in frame.columns:
                raise ScoringError(
                    f"outputCol: expected a new name, got {name!r}, which the frame has already; "
                    f"drop that column or choose another name"
                )
        feature, _ = features_column(frame, self.getFeaturesCol(), "float32")
        regression = getattr(self, "model_type", None) == ModelType.REGRESSION
        trained = self._trained()
        score = scoring_function(
            # Custom objects travel in the task: a broadcast cannot hold functions.
            replace(trained, weights=()),
            self._ship(trained, frame.sparkSession.sparkContext),
            with_logits=bool(raw),
            regression=regression,
            batch_size=self.get_inference_batch_size() or INFERENCE_BATCH,
        )
        kind = "double" if regression else "array<double>"
        # pyspark's types list the kinds of functions by number; this kind is read from `score`.
        make_udf: Any = pandas_udf
        scored = make_udf(score, f"prediction {kind}, raw double")
        context = frame.sparkSession.sparkContext
        threads = worker_threads(context, at_once=task_slots(frame.sparkSession))
        with worker_environment(context, threads=threads):
            scored_features = scored(feature)
        # One struct, so that prediction and logit come from one pass of the model.
        scores = "__glasses_spark_scores"
        columns = [F.col(f"`{name}`") for name in frame.columns]
        added = [F.col(scores)["prediction"].alias(output)]
        if raw:
            added.append(F.col(scores)["raw"].alias(raw))
        return frame.withColumn(scores, scored_features).select(*columns, *added)

    def _ship(self, trained: TrainedModel, context: SparkContext) -> Broadcast[Any]:
        """Send the weights to the executors, once for a model and a Spark."""
        if self._shipped is not None:
            digest_there, there = self._shipped
            if digest_there == trained.digest and there._sc is context:
                return there
        shipped: Broadcast[Any] = context.broadcast(list(trained.weights))
        self._shipped = (trained.digest, shipped)
        return shipped


def _count(weights: Sequence[Any]) -> int:
    return sum(int(np.size(array)) for array in weights)


def load_ml_transformer(file_name: str) -> GlassesModel:
    """Load a model from an ``.h5`` file, written here or by Elephas.

    Raises:
        ScoringError: The file is not there or holds no such model.
    """
    if not Path(file_name).is_file():
        raise ScoringError(f"{file_name}: expected a saved model, got no such file")
    with h5py.File(file_name, mode="r") as file:
        stored = file.attrs.get("distributed_config")
        if stored is None:
            raise ScoringError(f"{file_name}: expected a model saved by Elephas, got other HDF5")
        config = json.loads(stored, object_hook=as_enum)["config"]
        history = json.loads(file.attrs.get("history", "[]"))
        weights = [np.asarray(weight) for weight in config.pop("weights", [])]
        if "weights" in file:
            weights = [file["weights"][name][()] for name in sorted(file["weights"])]
    # Elephas writes every parameter, the unset ones as null.
    config = {name: value for name, value in config.items() if value is not None}
    if weights:
        config["weights"] = weights
    return GlassesModel(history=history, **config)


class _ModelWriter(MLWriter):
    def __init__(self, model: GlassesModel) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        model = self._model
        stage = model.copy()
        # Functions and classes have no place in JSON; they are set again after loading.
        stage.clear(stage.custom_objects)
        model_type = getattr(model, "model_type", None)
        extra = {
            "model_type": model_type.name if model_type else None,
            "history": json.dumps(model.history),
        }
        metadata = DefaultParamsWriter._get_metadata_to_save(stage, self.sparkSession, extra)
        write_metadata(self.sparkSession, f"{path}/metadata", metadata)
        write_weights(self.sparkSession, f"{path}/weights", model._trained().weights)


class _ModelReader(MLReader[GlassesModel]):
    def load(self, path: str) -> GlassesModel:
        metadata = json.loads(read_metadata(self.sparkSession, f"{path}/metadata"))
        model = GlassesModel(
            weights=read_weights(self.sparkSession, f"{path}/weights"),
            history=json.loads(metadata.get("history", "[]")),
            model_type=ModelType[metadata["model_type"]] if metadata.get("model_type") else None,
        )
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
