"""Results of a training run and of data preparation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from glasses_spark.columns import TEST, TRAIN, VALIDATION
from glasses_spark.errors import ConfigError, SetupError
from glasses_spark.evaluation.calibration import Calibration
from glasses_spark.evaluation.curves import Curves
from glasses_spark.evaluation.metrics import Metrics, metrics_html, metrics_table
from glasses_spark.evaluation.threshold import Thresholds
from glasses_spark.notebook_html import cell, folded, learning_charts, number, paragraph, table
from glasses_spark.runtime.location import local_folder

if TYPE_CHECKING:
    from glasses_spark.scoring.pixel_statistics import PixelStatistics
    from glasses_spark.scoring.transformer import GlassesModel


@dataclass(frozen=True, repr=False)
class Result:
    """Result of a training run.

    Attributes:
        train: Metrics of the training set.
        test: Metrics of the test set.
        validation: Metrics of the validation set, on which thresholds and temperature are
            chosen; None without ``split.validation``.
        curves: Curves by part.
        thresholds: The best thresholds on the validation set; None without one.
        calibration: The temperature and its effect; None without ``evaluation.calibrate``.
        data: Counts of images, as in ``metrics.json``: ``images`` found, ``used`` in the three
            sets, those of each set, and the excluded ones by reason.
        timings: Seconds by stage: ``preprocess_s``, ``fit_s``, ``score_s``, ``total_s``.
        history: One record per epoch, as in ``history.json``.
        model: The fitted Spark ML model, with its temperature.
        predictions: ``id``, ``path``, ``label``, ``split``, ``prediction`` and
            ``predicted_label`` of all used images; persisted until
            ``predictions.unpersist()``.
        location: Path or URI of the run folder, as in ``run.dir``.
        decoded: Number of images that were decoded in this run.
        reused: Number of images that were read from the pixel store.
        quarantine: Number of quarantined images by the code of their reason.
        training_pixels: Statistics of the training pixels; None for fewer than 500 images.
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
    quarantine: Mapping[str, int] = field(default_factory=dict)
    training_pixels: PixelStatistics | None = None

    @property
    def parts(self) -> dict[str, Metrics]:
        """Metrics by part, in the order train, validation, test."""
        validation = {} if self.validation is None else {VALIDATION: self.validation}
        return {TRAIN: self.train, **validation, TEST: self.test}

    @property
    def run_dir(self) -> Path:
        """Path of the run folder on this machine.

        Raises:
            ConfigError: The run folder is at a URI.
        """
        folder = local_folder(self.location)
        if folder is None:
            raise ConfigError(
                f"the run folder {self.location} is not on this machine. Use location instead of "
                "run_dir"
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
        return cell(
            f"Test accuracy {number(self.test.accuracy)} on {self.test.rows:,} images",
            paragraph(
                f"{self.data['used']:,} of {self.data['images']:,} images, "
                f"{len(self.history)} epochs, {self.timings['total_s']:.1f} s. "
                f"Results: {self.location}"
            ),
            metrics_html(self.parts),
            learning_charts(self.history),
            self._curves_html(),
            folded("Images", table(["", "images"], _table_rows(self.data))),
            folded("Run time", table(["", "seconds"], _table_rows(self.timings))),
        )

    def _curves_html(self) -> str:
        # Imported here, because it imports OpenCV and the plots.
        from glasses_spark.reports.notebook import curve_figures

        try:
            return curve_figures(self.curves, self.parts)
        except SetupError as error:  # without matplotlib the rest is still shown
            return paragraph(str(error))


@dataclass(frozen=True)
class Prepared:
    """Result of ``GlassesPipeline.prepare``.

    Attributes:
        data: Counts of images, as in ``metrics.json``.
        decoded: Number of images that were decoded.
        reused: Number of images that were already in the pixel store.
        quarantine: Number of quarantined images by the code of their reason.
        damaged: Files of the store that were damaged, if it was verified.
        removed: Number of segments that were removed, if the store was vacuumed.
    """

    data: Mapping[str, int]
    decoded: int
    reused: int
    quarantine: Mapping[str, int] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    removed: int = 0


def _table_rows(values: Mapping[str, Any]) -> list[list[str]]:
    return [[name.replace("_", " "), number(value)] for name, value in values.items()]
