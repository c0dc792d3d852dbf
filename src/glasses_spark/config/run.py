"""Sections about Spark, the run folder and tracking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from glasses_spark.config.fields import (
    flag,
    key,
    matching,
    number,
    spark_settings,
    text,
    whole_number,
)
from glasses_spark.config.interval import EVERY_EPOCH, interval
from glasses_spark.config.section import Section, refuse

# Seeds reach NumPy, TensorFlow and Spark; this range is legal in all three.
_MAX_SEED: Final = 2**31 - 1


@dataclass(frozen=True)
class SparkConfig(Section):
    """Spark session of a run."""

    master: str = key(
        "",
        text(
            "a Spark master such as local[4] or spark://host:7077, or an empty string",
            may_be_empty=True,
        ),
        "Master URL. Empty takes the master of `spark-submit`, or else all cores of this machine "
        "(`local[*]`). Spark tries a task 4 times, also in local mode: `local[N]` becomes "
        "`local[N,4]`.",
    )
    ui: bool = key(False, flag(), "Whether Spark serves its web UI during the run.")
    executor_timeout: float = key(
        600.0,
        number(lambda x: x >= 0, "a number >= 0"),
        "How long a command waits for the first executor of a cluster. Each minute it says what "
        "was asked for; 0 waits for ever.",
        unit="seconds",
    )
    conf: Mapping[str, str] = key(
        {}, spark_settings(), "Further Spark settings, by their full names."
    )


@dataclass(frozen=True)
class RunConfig(Section):
    """One run and where its results go."""

    dir: str = key(
        "runs/latest",
        text("a folder or URI"),
        "Folder or URI of the results; a path without a scheme is on the driver's machine. The "
        "results of an earlier run are replaced when this run has succeeded.",
    )
    seed: int = key(
        0, whole_number(0, _MAX_SEED), "Seed from which all random choices of the run are derived."
    )
    plots: bool = key(
        False,
        flag(),
        "Whether to write the plots of `report.html` also as PNG and SVG files, to `plots` in the "
        "run folder.",
    )
    checkpoint_every: str = key(
        EVERY_EPOCH,
        interval(),
        "How often the training writes a checkpoint to `checkpoint` in the run folder. The results "
        "of the run replace it.",
    )
    resume: bool = key(
        False,
        flag(),
        "Whether to go on with an interrupted training from its last checkpoint. Data, model and "
        "settings must be the same; more epochs are allowed.",
    )


@dataclass(frozen=True)
class TrackingConfig(Section):
    """Where else a finished run is recorded; a failure there is logged as a warning."""

    mlflow: bool = key(
        False,
        flag(),
        "Whether to log the run to MLflow: parameters, metrics, files and model. Needs the extra "
        "`mlflow`.",
    )
    uri: str = key(
        "",
        text("a tracking URI of MLflow, a folder, or an empty string", may_be_empty=True),
        "Tracking URI of MLflow. Empty takes the environment variable MLFLOW_TRACKING_URI, or else "
        "the folder `mlruns`. Set user and password in MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD.",
    )
    experiment: str = key(
        "glasses-spark", text(), "MLflow experiment, created if it does not exist."
    )
    registered_model: str = key(
        "",
        # As in MLflow, which would refuse a name only after the training.
        matching(r"[^/:\s][^/:\x00-\x1f]*", "a name without / and :"),
        "Name in MLflow's model registry of which the model of the run becomes a new version, "
        "created if it does not exist; empty registers nothing. Needs `tracking.mlflow`.",
    )
    tensorboard: bool = key(
        False,
        flag(),
        "Whether to write the metrics of each epoch for TensorBoard, to `tensorboard` in the run "
        "folder.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if "@" in self.uri.partition("://")[2].partition("/")[0]:
            # Without the value, which would show the password on the screen and in logs.
            refuse(
                [
                    "tracking.uri: expected a URI without user and password; set the environment "
                    "variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                    "MLFLOW_TRACKING_URI, instead"
                ]
            )
