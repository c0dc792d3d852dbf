"""Result of a cross-validation, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from glasses_spark.columns import (
    CLUSTER,
    CONFLICTING,
    FOLD,
    ID,
    LABEL,
    PATH,
    PREDICTED_LABEL,
    PREDICTION,
)
from glasses_spark.evaluation.cross_validation import Folds, folds_table
from glasses_spark.evaluation.label_doubt import DoubtedLabel, LabelDoubt
from glasses_spark.evaluation.metrics import Metrics
from glasses_spark.preprocessing.duplicates.near_duplicates import NearDuplicates, list_duplicates
from glasses_spark.reports.cross_validation_page import Pictures, render_cross_validation
from glasses_spark.runs.folder import (
    CONFIG,
    CROSS_VALIDATION,
    CROSS_VALIDATION_PAGE,
    DUPLICATES,
    LABEL_DOUBT,
    OUT_OF_FOLD,
    write_csv,
    write_json,
    write_parquet,
)
from glasses_spark.runs.new_folder import new_run_folder


@dataclass(frozen=True, repr=False)
class CrossValidation:
    """Result of ``GlassesPipeline.cross_validate``.

    Attributes:
        folds: Results of the folds; their predictions are in ``run_dir``.
        out_of_fold: Metrics of the out-of-fold predictions of all images.
        doubt: The labels most likely to be wrong.
        data: Counts of images, as in ``metrics.json``.
        timings: Seconds by stage: ``preprocess_s``, ``folds_s``, ``total_s``.
        run_dir: Folder of the results.
    """

    folds: Folds
    out_of_fold: Metrics
    doubt: LabelDoubt
    data: Mapping[str, int]
    timings: Mapping[str, float]
    run_dir: Path

    def __repr__(self) -> str:
        return (
            f"{folds_table(self.folds)}\n"
            f"{self.doubt.likely_wrong} of {self.doubt.rows} labels are likely wrong\n"
            f"{self.data['used']} of {self.data['images']} images, "
            f"{len(self.folds.results)} folds, {self.timings['total_s']:.1f} s\n"
            f"Results: {self.run_dir}"
        )


def write_cross_validation(
    result: CrossValidation,
    config: str,
    *,
    pictures: Pictures,
    duplicates: NearDuplicates | None,
    environment: Mapping[str, Any],
) -> None:
    """Write the folder ``result.run_dir`` atomically; see docs/cross-validation.md.

    Args:
        result: Result to write; its predictions are still persisted.
        config: The configuration as TOML.
        pictures: Pictures of the most doubtful labels.
        duplicates: Near-duplicates; None if they were not searched for.
        environment: Versions and the machine, ready for JSON.

    Raises:
        ResultsError: The folder cannot be written; the message names where the results are.
    """

    def write(folder: Path) -> None:
        (folder / CONFIG).write_text(config, encoding="utf-8")
        figures = {
            "folds": [fold.as_dict() for fold in result.folds.results],
            "mean": result.folds.mean(),
            "standard_deviation": result.folds.standard_deviation(),
            "out_of_fold": result.out_of_fold.as_dict(),
            "likely_wrong_labels": result.doubt.likely_wrong,
            "data": result.data,
            "timings": result.timings,
            "environment": environment,
        }
        write_json(folder / CROSS_VALIDATION, figures)
        predictions = result.folds.predictions.select(
            ID, PATH, LABEL, FOLD, PREDICTION, PREDICTED_LABEL
        )
        write_parquet(folder / OUT_OF_FOLD, predictions, order=ID, rows=result.data["used"])
        write_csv(
            folder / LABEL_DOUBT,
            [field.name for field in fields(DoubtedLabel)],
            ([_text(value) for value in astuple(label)] for label in result.doubt.listed),
        )
        write_duplicates(folder, predictions, duplicates)
        page = render_cross_validation(figures, result.doubt, pictures, config)
        (folder / CROSS_VALIDATION_PAGE).write_text(page, encoding="utf-8")

    with new_run_folder(result.run_dir, results=CROSS_VALIDATION) as new:
        new.finish(write)


def write_duplicates(folder: Path, images: DataFrame, duplicates: NearDuplicates | None) -> None:
    """Write ``duplicates.csv`` if there are near-duplicates.

    Args:
        folder: Target folder.
        images: ``id``, ``path`` and ``label`` of at least these images.
        duplicates: Near-duplicates; None if they were not searched for.
    """
    if duplicates is None or duplicates.members is None:
        return
    rows = list_duplicates(images, duplicates.members).toLocalIterator()
    write_csv(
        folder / DUPLICATES,
        [CLUSTER, ID, PATH, LABEL, CONFLICTING],
        ([_text(value) for value in row] for row in rows),
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
