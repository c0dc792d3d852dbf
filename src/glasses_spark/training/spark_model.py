"""Spark model: Elephas' interface to RDDs, on this package's own training and scoring."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark import RDD
from pyspark.sql import SparkSession

from glasses_spark.columns import PREDICTION
from glasses_spark.config.fields import AUTO
from glasses_spark.config.section import suggest
from glasses_spark.config.training import EPOCH, SYNCHRONOUS
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.elephas import SparkModel
from glasses_spark.runtime.keras_archive import pack_model, set_weights
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.scoring.model_ports import output_names
from glasses_spark.scoring.named_columns import prediction_columns
from glasses_spark.scoring.prediction_kind import NUMBERS, PredictionKind, output_size
from glasses_spark.scoring.prediction_params import kind_params
from glasses_spark.scoring.transformer import GlassesModel
from glasses_spark.training.build import build_estimator
from glasses_spark.training.custom_objects import find_custom_objects
from glasses_spark.training.history import RESERVED
from glasses_spark.training.model_checks import require_supported_model
from glasses_spark.training.pair_fields import feature_fields, label_fields
from glasses_spark.training.pair_rows import features_frame, pairs_frame, parts_of_rows
from glasses_spark.training.saved_spark_model import save_spark_model, save_to_hadoop
from glasses_spark.training.settings import FIELDS, FitSettings

# Elephas' names of transports. All stand for this package's own, gRPC with mutual TLS.
_TRANSPORTS: Final = ("http", "socket", "grpc")

# Settings of the labels, which the model's outputs decide here.
_DECIDED: Final = ("categorical", "nb_classes")
_OF_FIT: Final = ("epochs", "batch_size", "verbose", "validation_split")
_OF_MODEL: Final = ("batch_size", "num_workers")


class GlassesSparkModel(SparkModel):
    """Trains a Keras model on an RDD; replaces Elephas' ``SparkModel`` and its subclasses.

    It has the methods of Elephas' ``SparkModel`` and ``AsynchronousSparkModel``, and trains
    and scores as `GlassesEstimator` and `GlassesModel` do: the same workers, modes, server
    and checks.

    Args:
        model: Compiled Keras model. A fit starts from its weights and replaces them.
        num_workers: Number of workers; None or ``"auto"`` is one for each task slot.
        custom_objects: Classes and functions that the model refers to by name.
        batch_size: Rows in one step of one worker, unless `fit` has another number.
        mode: ``synchronous``, ``asynchronous`` or ``hogwild``.
        frequency: ``epoch`` or ``batch``: how often workers exchange weights.
        parameter_server_mode: ``http``, ``socket`` or ``grpc``, as in Elephas. The server
            uses gRPC with mutual TLS in any case.
        port: Port of the parameter server in the driver; 0 selects a free one.
        settings: Settings of `build_estimator`, such as ``seed`` or ``checkpoint_dir``. As in
            Elephas, an argument that has no such name is kept in the configuration alone,
            here with a warning.

    Attributes:
        master_network: The Keras model.
        training_histories: For each fit a dictionary of lists with one number an epoch, as
            ``keras.Model.fit(...).history``.

    Raises:
        ConfigError: The model is not compiled, or a setting is not legal.
        TrainingError: The workers could not train the model as Keras does.
    """

    master_optimizer: Any

    def __init__(
        self,
        model: Any,
        num_workers: int | str | None = None,
        custom_objects: Mapping[str, Any] | None = None,
        batch_size: int = 32,
        mode: str = SYNCHRONOUS,
        frequency: str | None = EPOCH,
        parameter_server_mode: str | None = "grpc",
        port: int = 0,
        **settings: Any,
    ) -> None:
        if not getattr(model, "compiled", False):
            raise ConfigError("model: expected a compiled Keras model. Call compile first")
        require_supported_model(model)
        if parameter_server_mode not in (*_TRANSPORTS, None):
            raise ConfigError(
                f"parameter_server_mode: expected one of {', '.join(_TRANSPORTS)}, got "
                f"{parameter_server_mode!r}"
            )
        _replace_named_loss_weights(model)
        # Elephas' enumerations are strings of a class of their own.
        self.mode, self.frequency = str(mode), str(frequency or EPOCH)
        self.parameter_server_mode, self.port = parameter_server_mode, port
        self._safe_mode = bool(settings.pop("safe_mode", True))
        self._settings = {
            name: settings.pop(name)
            for name in [*settings]
            if name in FIELDS and name not in (*_DECIDED, *_OF_FIT)
        }
        _warn_of_unknown(settings)
        # Elephas, which reads the saved settings, has no other word for it.
        num_workers = None if num_workers == AUTO else num_workers
        super().__init__(
            model, num_workers, dict(custom_objects or {}), batch_size, **self._settings, **settings
        )
        self._checked({})

    def get_config(self) -> dict[str, Any]:
        """Return the settings, as `save` writes them and Elephas' constructors take them."""
        return {
            **super().get_config(),
            "mode": self.mode,
            "frequency": self.frequency,
            "parameter_server_mode": self.parameter_server_mode,
        }

    def save(self, file_name: str, overwrite: bool = False, to_hadoop: bool = False) -> None:
        """Save the model to a Keras or HDF5 file, which `load_spark_model` reads.

        Args:
            file_name: Path that ends in ``.keras`` or ``.h5``.
            overwrite: Whether to replace a file on Hadoop. A local file is replaced in any
                case, as Elephas does.
            to_hadoop: Whether ``file_name`` is a path or URI of Spark's file systems, such as
                ``hdfs:``.

        Raises:
            ScoringError: The suffix is another one, or the file cannot be written.
        """
        if to_hadoop:
            save_to_hadoop(self, file_name, overwrite=overwrite)
        else:
            save_spark_model(self, file_name)

    def fit(self, rdd: RDD[Any], **kwargs: Any) -> None:
        """Train the model on an RDD of pairs of features and labels.

        Args:
            rdd: Pairs, as Elephas' ``to_simple_rdd`` makes them. Features and labels are
                NumPy arrays of any shape, vectors, lists or numbers; features may be strings.
                Of several inputs or outputs they are a list or a mapping by name, or one flat
                array.
            kwargs: ``epochs`` (1), ``batch_size``, ``verbose``, ``validation_split`` (0.0),
                ``callbacks`` and the settings of `build_estimator`, such as ``seed``.

        Raises:
            ConfigError: There is no such argument, or its value is not legal.
            DataError: A row is no pair, or does not fit the model.
            TrainingError: The fit cannot start, or its result is inconsistent.
            WorkerError: A worker failed.
        """
        self._train(rdd, kwargs)

    def predict(self, data: RDD[Any] | npt.NDArray[Any]) -> list[Any]:
        """Score rows in Spark.

        Args:
            data: RDD of features in the forms of `fit`, or NumPy array ``(rows, ...)``.

        Returns:
            The prediction of each row in the order of the rows, as ``keras.Model.predict``
            has it. For a model with several outputs such a list for each output.

        Raises:
            ConfigError: The data are neither an RDD nor an array.
            DataError: A row does not fit the model.
        """
        spark = SparkSession.builder.getOrCreate()
        if isinstance(data, np.ndarray):
            rows = max(1, min(len(data), task_slots(spark)))
            data = spark.sparkContext.parallelize(list(data), rows)
        _require_rdd("predict", data, "an RDD of features or a NumPy array", "GlassesModel")
        network = self.master_network
        columns = prediction_columns(PREDICTION, output_names(network.to_json()))
        frame = self._transformer().transform(features_frame(spark, data, feature_fields(network)))
        scored = frame.select(*(f"`{column}`" for column in columns)).toArrow()
        outputs = []
        for column, port in zip(columns, network.outputs, strict=True):
            values = scored[column].combine_chunks()
            values = values.flatten() if hasattr(values, "flatten") else values
            shape = (scored.num_rows, *port.shape[1:])
            numbers = values.to_numpy(zero_copy_only=False).astype(port.dtype)
            outputs.append(list(numbers.reshape(shape)))
        return outputs if len(outputs) > 1 else outputs[0]

    def evaluate(self, x_test: Any, y_test: Any, **kwargs: Any) -> Any:
        """Return loss and metrics of rows, exactly those of ``keras.Model.evaluate``.

        The arrays are in the driver, and Keras evaluates them there: on parts of them it
        could not compute each loss and metric.

        Args:
            x_test: Features ``(rows, ...)`` in the forms of `fit`, or a list for each input.
            y_test: Labels ``(rows, ...)``, or a list for each output.
            kwargs: Arguments of ``keras.Model.evaluate``; ``verbose`` is 0 by default.

        Returns:
            The loss; a list of it and the metrics if there are any.
        """
        network = self._compiled()
        x = parts_of_rows(x_test, feature_fields(network), "features")
        y = parts_of_rows(y_test, label_fields(network, self.master_loss), "labels")
        return network.evaluate(x, y, **{"verbose": 0, **kwargs})

    def _train(
        self, rdd: Any, kwargs: Mapping[str, Any], classes: Mapping[str, Any] | None = None
    ) -> None:
        network = self._compiled()
        _require_rdd("fit", rdd, "an RDD of pairs (features, label)", "GlassesEstimator")
        callbacks = kwargs.get("callbacks") or ()
        settings = self._checked({k: v for k, v in kwargs.items() if k != "callbacks"})
        features = feature_fields(network)
        labels = label_fields(network, self.master_loss, as_classes=classes is not None)
        if not labels:
            raise ConfigError("loss: expected a model compiled with a loss, got none")
        if settings.get("class_weight") and not all(field.is_number for field in labels):
            raise ConfigError(
                "class_weight needs labels of one number in a row, found "
                f"{labels[0].size or 'any number of'} in a row. Use a sparse loss"
            )
        spark = SparkSession.builder.getOrCreate()
        several = len(network.outputs) > 1
        estimator = build_estimator(
            network,
            split=settings.pop("validation_split", 0.0),
            categorical=classes is not None,
            **(classes or {}),
            callbacks=callbacks,
            custom_objects=self.custom_objects,
            safe_mode=self._safe_mode,
            featuresCol=[field.column for field in features],
            labelCol={f.port: f.column for f in labels} if several else labels[0].column,
            **settings,
        )
        model = estimator.fit(pairs_frame(spark, rdd, features, labels))
        set_weights(network, model.weights)
        self.weights = network.get_weights()
        names = [name for name in model.history[0] if name not in RESERVED] if model.history else []
        history = {name: [record[name] for record in model.history] for name in names}
        self._training_histories.append(history)

    def _compiled(self) -> Any:
        """Compile the network anew if the user has replaced its loss, optimizer or metrics."""
        network, loss, optimizer = self.master_network, self.master_loss, self.master_optimizer
        metrics = getattr(getattr(network, "_compile_metrics", None), "_user_metrics", None) or []
        if not (
            network.compiled
            and network.loss is loss
            and network.optimizer is optimizer
            and metrics == (self.master_metrics or [])
        ):
            network.compile(optimizer=optimizer, loss=loss, metrics=self.master_metrics)
            self.master_optimizer = network.optimizer
        return network

    def _checked(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings of a fit by their names as Params."""
        known = {name: None for name in [*FIELDS, "callbacks"] if name not in _DECIDED}
        for name in kwargs:
            if name not in known:
                raise ConfigError(f"fit has no argument {name!r}{suggest(name, known)}")
        settings = {
            "mode": self.mode,
            "frequency": self.frequency,
            "batch_size": self.batch_size,
            "num_workers": AUTO if self.num_workers is None else self.num_workers,
            "parameter_server_port": self.port,
            "epochs": 1,
            **self._settings,
            **{name: value for name, value in kwargs.items() if value is not None},
        }
        FitSettings(**{FIELDS[name]: value for name, value in settings.items()})
        return settings

    def _transformer(self) -> GlassesModel:
        network = self.master_network
        sizes = [output_size(network, output) for output in range(len(network.outputs))]
        return GlassesModel(
            keras_model_config=network.to_json(),
            weights=network.get_weights(),
            archive=pack_model(network),
            safe_mode=self._safe_mode,
            custom_objects=find_custom_objects(network) | self.custom_objects,
            featuresCol=[field.column for field in feature_fields(network)],
            **kind_params([PredictionKind(NUMBERS, size) for size in sizes]),
        )


def _require_rdd(method: str, data: Any, wanted: str, other: str) -> None:
    if not isinstance(data, RDD):
        hint = f". Use {other} for a DataFrame" if hasattr(data, "schema") else ""
        raise ConfigError(f"{method}: expected {wanted}, got {type(data).__name__}{hint}")


def _replace_named_loss_weights(model: Any) -> None:
    """Compile a model without loss weights that are names.

    Keras 2 had the metrics in the place of Keras 3's loss weights. Elephas drops them as well.
    """
    weights = getattr(model._compile_loss, "_user_loss_weights", None)
    if not isinstance(weights, Sequence) or not any(isinstance(each, str) for each in weights):
        return
    warnings.warn(
        f"compile: loss_weights={weights!r} are no numbers and are dropped. Use "
        f"metrics={weights!r}, because Keras 3 has loss_weights as its third argument",
        stacklevel=3,
    )
    metrics, weighted = model._compile_metrics, None
    if metrics is not None:
        metrics, weighted = metrics._user_metrics, metrics._user_weighted_metrics
    model.compile(model.optimizer, model.loss, metrics=metrics, weighted_metrics=weighted)


def _warn_of_unknown(settings: Mapping[str, Any]) -> None:
    known = dict.fromkeys([*FIELDS, "safe_mode", "custom_objects", "parameter_server_mode", "port"])
    for name in settings:
        if name in (*_DECIDED, *_OF_FIT, "callbacks"):
            raise ConfigError(f"{name}: expected as an argument of fit, got it before")
        advice = suggest(name, known)
        if "did you mean" in advice:
            raise ConfigError(f"GlassesSparkModel has no setting {name!r}{advice}")
        warnings.warn(
            f"GlassesSparkModel has no setting {name!r}; it stays in get_config() without effect",
            stacklevel=3,
        )
