"""Fit: train the model of a configuration, with its class weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import IS_VALIDATION, LABEL, PIXELS, RAW_PREDICTION, VALIDATION
from glasses_spark.config.config import Config
from glasses_spark.config.training import BALANCED
from glasses_spark.pipeline.pixels import part_column
from glasses_spark.runtime.connect import is_connect
from glasses_spark.runtime.progress import Progress

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel


def fit_model(
    train: DataFrame,
    config: Config,
    progress: Progress,
    *,
    show_summary: bool,
    checkpoint_dir: str = "",
) -> GlassesModel:
    """Train the CNN.

    Args:
        train: ``pixels``, ``label`` and, with ``split.validation``, ``id``.
        config: Configuration of the run.
        progress: Reports the epochs.
        show_summary: Whether to report the summary of the network.
        checkpoint_dir: Folder or URI of checkpoints; empty reads and writes none.
    """
    # Imported here because it imports TensorFlow, which the stages before do not need.
    from glasses_spark.training.build import build_estimator
    from glasses_spark.training.history import RESERVED

    connect = is_connect(train.sparkSession)
    training, network = config.training, build_network(config)
    if show_summary:
        progress.model(_summary(network))
    if config.split.validation:
        is_validation = part_column(config, train) == VALIDATION
        train = train.withColumn(IS_VALIDATION, is_validation)
    with progress.epochs(training.epochs) as show_epoch:
        estimator = build_estimator(
            network,
            **training.params(),
            categorical=False,
            validationIndicatorCol=IS_VALIDATION if config.split.validation else None,
            featuresCol=PIXELS,
            labelCol=LABEL,
            metrics=list(training.metrics),
            rawPredictionCol=RAW_PREDICTION,
            seed=config.run.seed,
            class_weight=class_weights(train) if training.class_weight == BALANCED else None,
            # Under Spark Connect the epochs come back at the end.
            callbacks=[] if connect else [_epoch_reporter(show_epoch)],
            verbose=0,  # the reporter shows the epochs
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=config.run.checkpoint_every,
        )
        model: GlassesModel = estimator.fit(train)
        if connect:
            for record in model.history:
                metrics = {name: record[name] for name in record.keys() - RESERVED}
                show_epoch(record["epoch"], metrics)
    return model


def class_weights(train: DataFrame) -> dict[float, float]:
    """Return weights with which each label has the same total weight.

    The weight of a label is the number of rows, divided by the number of labels and the
    rows with the label, as with scikit-learn's ``class_weight="balanced"``. Validation
    rows do not count.

    Args:
        train: ``label`` and, with validation rows, ``is_validation``.
    """
    if IS_VALIDATION in train.columns:
        train = train.where(~F.col(IS_VALIDATION))
    counts = {row[LABEL]: row["count"] for row in train.groupBy(LABEL).count().collect()}
    rows = sum(counts.values())
    return {label: rows / (len(counts) * count) for label, count in counts.items()}


def build_network(config: Config) -> Any:
    """Build the CNN of a configuration, compiled."""
    from glasses_spark.training.model import build_cnn

    return build_cnn(
        config.image.height,
        config.image.width,
        optimizer=config.training.optimizer,
        loss=config.training.loss,
        metrics=config.training.metrics,
        seed=config.run.seed,
    )


def _epoch_reporter(show_epoch: Any) -> Any:
    from glasses_spark.runtime.keras import import_keras

    return import_keras().callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: show_epoch(epoch + 1, logs or {})
    )


def _summary(network: Any) -> str:
    lines: list[str] = []
    network.summary(print_fn=lines.append, line_length=80)
    return "\n".join(lines)
