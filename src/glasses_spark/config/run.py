"""Sections about Spark, the run folder and tracking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from glasses_spark.config.fields import (
    flag,
    key,
    only,
    spark_settings,
    text,
    whole,
)
from glasses_spark.config.section import Section, refuse

# Seeds reach NumPy, TensorFlow and Spark; this range is legal in all three.
_MAX_SEED: Final = 2**31 - 1


@dataclass(frozen=True)
class SparkConfig(Section):
    """The Spark that does the work."""

    master: str = key(
        "",
        text(
            "a Spark master such as local[4] or spark://host:7077, or an empty text",
            may_be_empty=True,
        ),
        "Master URL. Empty leaves it to `spark-submit`; without one, all cores of this machine "
        "(`local[*]`).",
    )
    ui: bool = key(False, flag(), "Whether Spark serves its web page while it runs.")
    conf: Mapping[str, str] = key(
        {}, spark_settings(), "Any further settings of Spark, by their full names."
    )


@dataclass(frozen=True)
class RunConfig(Section):
    """One run and where its results go."""

    dir: str = key(
        "runs/latest",
        text("a folder or URI"),
        "Folder or URI for the results; a path is of the driver's machine. Those of an earlier run "
        "are replaced when this one has succeeded.",
    )
    seed: int = key(
        0, whole(0, _MAX_SEED), "Seed from which everything random in the run is derived."
    )
    plots: bool = key(
        False,
        flag(),
        "Whether the plots of `report.html` are written as PNG and SVG files, too, into `plots` of "
        "the run folder.",
    )
    resume: bool = key(
        False,
        only(False, "false (resuming a run is not there yet)"),
        "Go on with an interrupted run.",
    )


@dataclass(frozen=True)
class TrackingConfig(Section):
    """Where else a finished run is recorded; a failure there is a warning and loses nothing."""

    mlflow: bool = key(
        False,
        flag(),
        "Whether the run goes to MLflow: parameters, metrics, files and model. Needs the extra "
        "`mlflow`.",
    )
    uri: str = key(
        "",
        text("a tracking URI of MLflow, a folder, or an empty text", may_be_empty=True),
        "Where MLflow keeps it. Empty takes the environment variable MLFLOW_TRACKING_URI, else "
        "the folder `mlruns`. User and password belong in MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD.",
    )
    experiment: str = key("glasses-spark", text(), "MLflow's experiment, made where missing.")
    tensorboard: bool = key(
        False,
        flag(),
        "Whether the figures of each epoch are written for TensorBoard, to `tensorboard` in "
        "run.dir.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if "@" in self.uri.partition("://")[2].partition("/")[0]:
            # Without the value, which would put the password on the screen and in logs.
            refuse(
                [
                    "tracking.uri: expected no user and password in it; set the environment "
                    "variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                    "MLFLOW_TRACKING_URI, for them"
                ]
            )
