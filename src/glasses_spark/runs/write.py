"""Write: the files of a run folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from pyspark.sql import SparkSession

from glasses_spark.columns import (
    ID,
    PATH,
)
from glasses_spark.config.config import Config
from glasses_spark.preprocessing.duplicates.near_duplicates import NearDuplicates
from glasses_spark.preprocessing.quarantine import QuarantinedImage
from glasses_spark.reports.gallery import Gallery, with_evidence
from glasses_spark.reports.plots.plot import write_plots
from glasses_spark.reports.report import render_report, report_plots
from glasses_spark.reports.saliency import Score
from glasses_spark.runs import folder as run_folder
from glasses_spark.runs import remote_folder as run_place
from glasses_spark.runs.cross_validation import (
    write_duplicates,
)
from glasses_spark.runs.result import Result

_PACKAGES: Final = ("glasses-spark", "pyspark", "elephas", "tensorflow", "keras", "numpy")


def _choices(result: Result) -> dict[str, Any]:
    """What was chosen on the validation images, if anything."""
    chosen = {"thresholds": result.thresholds, "calibration": result.calibration}
    return {name: one.as_dict() for name, one in chosen.items() if one is not None}


def describe_environment(spark: SparkSession) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "spark_master": spark.sparkContext.master,
        "spark_version": spark.version,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def write_run(
    spark: SparkSession,
    result: Result,
    config: Config,
    *,
    quarantine: Sequence[QuarantinedImage],
    duplicates: NearDuplicates | None,
    environment: Mapping[str, Any],
    data_digest: str,
    gallery: Gallery,
) -> None:
    from glasses_spark.scoring.storage import digest

    model = result.model
    with run_place.new_run_place(spark, result.location) as folder:
        (folder / run_folder.CONFIG).write_text(config.to_toml(), encoding="utf-8")
        metrics = {
            **{part: one.as_dict() for part, one in result.parts.items()},
            **_choices(result),
            "data": result.data,
            "store": {"decoded": result.decoded, "reused": result.reused},
            "timings": result.timings,
            "environment": environment,
            "digests": {
                "data": data_digest,
                "weights": digest(model.get_keras_model_config(), model.weights),
            },
        }
        run_folder.write_json(folder / run_folder.METRICS, metrics)
        curves = {part: one.as_dict() for part, one in result.curves.items()}
        run_folder.write_json(folder / run_folder.CURVES, curves)
        run_folder.write_json(folder / run_folder.HISTORY, result.history)
        bad = [(image.path, image.reason) for image in quarantine]
        run_folder.write_parquet(folder / run_folder.PREDICTIONS, result.predictions.orderBy(ID))
        run_folder.write_csv(
            folder / run_folder.QUARANTINE,
            [PATH, "reason"],
            bad,
        )
        write_duplicates(folder, result.predictions, duplicates)
        # With a scheme: where HDFS is Spark's default, a plain path would be one in HDFS. Not
        # encoded, as Hadoop takes a URI for a plain text.
        model.write().save(f"file:{folder / run_folder.MODEL}")
        network = model.keras_model()
        network.save(folder / run_folder.KERAS_MODEL)
        # Last: all that it shows is there already, and the page alone takes a second or two.
        page = render_report(
            metrics,
            result.history,
            bad,
            config.to_toml(),
            curves=result.curves,
            gallery=with_evidence(gallery, _logits(network)),
        )
        (folder / run_folder.REPORT).write_text(page, encoding="utf-8")
        if config.run.plots:
            plots = report_plots(metrics, result.history, curves=result.curves)
            write_plots(plots, folder / run_folder.PLOTS)


def _logits(network: Any) -> Score:
    """The logits of pictures by a network, which is changed for it."""
    from glasses_spark.scoring.predictor import Predictor

    predictor = Predictor(network, with_logits=True)
    return lambda pictures: predictor.predict(pictures.reshape(len(pictures), -1))[1][:, 0]
