"""Result of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from glasses_spark.errors import ConfigError
from glasses_spark.evaluation.calibration import (
    Calibration,
)
from glasses_spark.evaluation.curves import Curves
from glasses_spark.evaluation.metrics import (
    Metrics,
    metrics_html,
    metrics_table,
)
from glasses_spark.evaluation.threshold import Thresholds
from glasses_spark.notebook_html import cell, folded, learning_charts, number, paragraph, table
from glasses_spark.preprocessing.split import (
    TEST,
    TRAIN,
    VALIDATION,
)
from glasses_spark.runtime.location import local_folder

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel


@dataclass(frozen=True, repr=False)
class Result:
    """What a run has brought.

    Attributes:
        train: Metrics over the images that were trained on.
        test: Metrics over the images that were held back.
        validation: Metrics over those that the training was watched with, on which
            thresholds and temperature were chosen; None without ``split.validation``.
        curves: What there is to draw, by part.
        thresholds: Other thresholds and what they give; None without validation images.
        calibration: The temperature, and what it changed; None without ``evaluation.calibrate``.
        data: Where the images went, as in ``metrics.json``: ``images`` found;
            ``used``, for training, validation and test; the others left out.
        timings: Seconds by stage: ``preprocess_s``, ``fit_s``, ``score_s``, ``total_s``.
        history: One record an epoch, as in ``history.json``.
        model: The fitted Spark ML model, with its temperature.
        predictions: ``id``, ``path``, ``label``, ``split``, ``prediction`` and
            ``predicted_label`` of all images used; kept in Spark's memory or on its
            disks until ``predictions.unpersist()``.
        location: Where the run folder lies: a path or a URI, as ``run.dir`` has it.
        decoded: How many images were decoded in this run.
        reused: How many came from the pixel store.
    """

    train: Metrics
    test: Metrics
    validation: Metrics | None
    curves: Mapping[str, Curves]
    thresholds: Thresholds | None
    calibration: Calibration | None
    data: Mapping[str, int]
    timings: Mapping[str, float]
    history: list[dict[str, Any]]
    model: GlassesModel
    predictions: DataFrame
    location: str
    decoded: int
    reused: int

    @property
    def parts(self) -> dict[str, Metrics]:
        """Metrics by part, in the order train, validation, test."""
        validation = {} if self.validation is None else {VALIDATION: self.validation}
        return {TRAIN: self.train, **validation, TEST: self.test}

    @property
    def run_dir(self) -> Path:
        """The run folder on this machine.

        Raises:
            ConfigError: It lies elsewhere, at the URI ``location``.
        """
        folder = local_folder(self.location)
        if folder is None:
            raise ConfigError(
                f"the run folder is not on this machine, it lies at {self.location}: use location"
            )
        return folder

    def __repr__(self) -> str:
        return (
            f"{metrics_table(self.parts)}\n"
            f"{self.data['used']} of {self.data['images']} images, "
            f"{len(self.history)} epochs, {self.timings['total_s']:.1f} s\n"
            f"Results: {self.location}"
        )

    def _repr_html_(self) -> str:
        # Imported here: matplotlib takes half a second.
        from glasses_spark.reports.notebook import curve_figures

        return cell(
            f"Test accuracy {number(self.test.accuracy)} on {self.test.rows:,} images",
            paragraph(
                f"{self.data['used']:,} of {self.data['images']:,} images, "
                f"{len(self.history)} epochs, {self.timings['total_s']:.1f} s. "
                f"Results: {self.location}"
            ),
            metrics_html(self.parts),
            learning_charts(self.history),
            curve_figures(self.curves, self.parts),
            folded("Images", table(["", "images"], _texts(self.data))),
            folded("Seconds", table(["", "seconds"], _texts(self.timings))),
        )


@dataclass(frozen=True)
class Prepared:
    """What ``GlassesPipeline.prepare`` has brought.

    Attributes:
        data: Where the images went, as in ``metrics.json``.
        decoded: How many images were decoded now.
        reused: How many were in the pixel store.
    """

    data: Mapping[str, int]
    decoded: int
    reused: int


def _texts(numbers: Mapping[str, Any]) -> list[list[str]]:
    return [[name.replace("_", " "), number(value)] for name, value in numbers.items()]
