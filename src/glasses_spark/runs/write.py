"""Files of a run folder: configuration, metrics, predictions, models and report."""

from __future__ import annotations

import logging
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyspark.sql import SparkSession

from glasses_spark.columns import ID, PATH
from glasses_spark.config.config import Config
from glasses_spark.errors import SetupError
from glasses_spark.preprocessing.duplicates.near_duplicates import NearDuplicates
from glasses_spark.preprocessing.quarantine import QuarantinedImage
from glasses_spark.reports.gallery import Gallery, with_evidence
from glasses_spark.reports.model_card import ModelFacts, render_model_card
from glasses_spark.reports.plots.plot import write_plots
from glasses_spark.reports.report import render_report, report_plots
from glasses_spark.reports.saliency import Score
from glasses_spark.reports.template import require_report_packages
from glasses_spark.runs.cross_validation import write_duplicates
from glasses_spark.runs.exported_model import TRAINING_PIXELS, write_onnx_model
from glasses_spark.runs.folder import (
    CONFIG,
    CURVES,
    HISTORY,
    KERAS_MODEL,
    METRICS,
    MODEL,
    MODEL_CARD,
    PLOTS,
    PREDICTIONS,
    QUARANTINE,
    REPORT,
    write_csv,
    write_json,
    write_parquet,
)
from glasses_spark.runs.result import Result
from glasses_spark.runtime.connect import master_of
from glasses_spark.scoring.model_metadata import ModelMetadata
from glasses_spark.scoring.storage import digest

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

logger = logging.getLogger(__name__)

_PACKAGES: Final = ("glasses-spark", "pyspark", "elephas", "tensorflow", "keras", "numpy")


def describe_environment(spark: SparkSession) -> dict[str, Any]:
    """Return versions and the machine, as ``environment`` of ``metrics.json``."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "spark_master": master_of(spark),
        "spark_version": spark.version,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def write_fitted(
    folder: Path, model: GlassesModel, config: Config, environment: Mapping[str, Any]
) -> None:
    """Write a fitted model as a run folder without metrics, which can predict and evaluate.

    Args:
        folder: Empty folder.
        model: The fitted model.
        config: Configuration of the run.
        environment: Return value of ``describe_environment``.
    """
    _write_config(folder, config)
    write_json(folder / METRICS, {"environment": environment, "digests": _digests(model)})
    write_json(folder / HISTORY, model.history)
    _save_model(folder, model)


def write_run(
    folder: Path,
    result: Result,
    config: Config,
    *,
    quarantine: Sequence[QuarantinedImage],
    duplicates: NearDuplicates | None,
    environment: Mapping[str, Any],
    data_digest: str,
    gallery: Gallery,
) -> None:
    """Write the files of a run folder.

    Without the packages of the extra ``report`` the folder has no ``report.html`` and no plots,
    and a warning names the extra.

    Args:
        folder: Empty folder, or one that ``write_fitted`` has filled.
        result: Result of the run; its predictions are still persisted.
        config: Configuration of the run.
        quarantine: Images that cannot be decoded.
        duplicates: Near-duplicates; None if they were not searched for.
        environment: Return value of ``describe_environment``.
        data_digest: Digest of ids, labels and pixels.
        gallery: Faces for the report.
    """
    rejected = [(image.path, image.reason, image.detail) for image in quarantine]
    metrics = _metrics(result, environment, data_digest)
    _write_config(folder, config)
    write_json(folder / METRICS, metrics)
    write_json(folder / CURVES, {part: curves.as_dict() for part, curves in result.curves.items()})
    write_json(folder / HISTORY, result.history)
    write_parquet(folder / PREDICTIONS, result.predictions, order=ID, rows=result.data["used"])
    write_csv(folder / QUARANTINE, [PATH, "reason", "detail"], rejected)
    write_duplicates(folder, result.predictions, duplicates)
    # The fitted model has no temperature.
    if not (folder / MODEL).is_dir() or result.model.get_temperature() != 1.0:
        _save_model(folder, result.model)
    network = result.model.keras_model()
    network.save(folder / KERAS_MODEL)
    write_onnx_model(
        folder,
        network,
        config,
        temperature=result.model.get_temperature(),
        digest=_digests(result.model)["weights"],
        training_pixels=metrics.get(TRAINING_PIXELS),
    )
    _write_model_card(folder, result, config, metrics, network)
    # Last, because rendering modifies the network.
    _write_report(folder, result, config, metrics, rejected, gallery, network)


def _write_config(folder: Path, config: Config) -> None:
    # A run of this configuration is a new one.
    saved = replace(config, run=replace(config.run, resume=False)).without_secrets()
    (folder / CONFIG).write_text(saved.to_toml(), encoding="utf-8")


def _save_model(folder: Path, model: GlassesModel) -> None:
    """Save a model; an earlier one is replaced when the new one is complete."""
    new = folder / f"{MODEL}.new"
    shutil.rmtree(new, ignore_errors=True)
    # With a scheme, because a plain path would be in HDFS if that is Spark's default file
    # system. Not percent-encoded, because Hadoop does not decode it.
    model.write().save(f"file:{new}")
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    new.rename(folder / MODEL)


def _digests(model: GlassesModel) -> dict[str, str]:
    return {"weights": digest(model.get_keras_model_config(), model.weights)}


def _metrics(result: Result, environment: Mapping[str, Any], data_digest: str) -> dict[str, Any]:
    """Return the contents of ``metrics.json``."""
    model = result.model
    optional = {
        "thresholds": result.thresholds,
        "calibration": result.calibration,
        TRAINING_PIXELS: result.training_pixels,
    }
    return {
        **{part: part_metrics.as_dict() for part, part_metrics in result.parts.items()},
        **{name: value.as_dict() for name, value in optional.items() if value is not None},
        "data": result.data,
        "quarantine": result.quarantine,
        "store": {"decoded": result.decoded, "reused": result.reused},
        "timings": result.timings,
        "environment": environment,
        "digests": {
            "data": data_digest,
            **_digests(model),
        },
    }


def _write_model_card(
    folder: Path, result: Result, config: Config, metrics: Mapping[str, Any], network: Any
) -> None:
    facts = ModelFacts(
        layers=[type(layer).__name__ for layer in network.layers if layer.weights],
        parameters=network.count_params(),
        height=config.image.height,
        width=config.image.width,
        threshold=config.evaluation.threshold,
        temperature=result.model.get_temperature(),
        labels=ModelMetadata().labels,
        files=frozenset(os.listdir(folder)),
    )
    toml = config.without_secrets().to_toml()
    card = render_model_card(metrics, result.history, toml, facts)
    (folder / MODEL_CARD).write_text(card, encoding="utf-8")


def _write_report(
    folder: Path,
    result: Result,
    config: Config,
    metrics: Mapping[str, Any],
    quarantine: Sequence[tuple[str, str, str]],
    gallery: Gallery,
    network: Any,
) -> None:
    try:
        require_report_packages()
    except SetupError as error:
        # Not an error: the run may have taken hours, and its results are complete.
        skipped = f"{REPORT} and {PLOTS}" if config.run.plots else REPORT
        logger.warning("%s skipped: %s", skipped, error)
        return
    page = render_report(
        metrics,
        result.history,
        quarantine,
        config.without_secrets().to_toml(),
        curves=result.curves,
        gallery=with_evidence(gallery, _logit_function(network)),
    )
    (folder / REPORT).write_text(page, encoding="utf-8")
    if config.run.plots:
        plots = report_plots(metrics, result.history, curves=result.curves)
        write_plots(plots, folder / PLOTS)


def _logit_function(network: Any) -> Score:
    """Return a function that computes the logits of pictures; modifies the network."""
    from glasses_spark.scoring.predictor import Predictor

    predictor = Predictor(network, with_logits=True)
    return lambda pictures: predictor.predict(pictures.reshape(len(pictures), -1))[1][:, 0]
