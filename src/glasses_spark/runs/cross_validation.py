"""Cross-validation folder: what a cross-validation leaves on disk, complete or not at all."""

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
from glasses_spark.runs import folder as run_folder


@dataclass(frozen=True, repr=False)
class CrossValidation:
    """What ``GlassesPipeline.cross_validate`` has brought.

    Attributes:
        folds: What each fold has brought; its predictions are in ``run_dir``.
        out_of_fold: Metrics over all images, each judged when it was held out.
        doubt: The labels most likely wrong.
        data: Where the images went, as in ``metrics.json``.
        timings: Seconds by stage: ``preprocess_s``, ``folds_s``, ``total_s``.
        run_dir: The folder of the results.
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
    """Write the folder ``result.run_dir`` in one go; see docs/cross-validation.md.

    Args:
        result: What there is to write; its predictions are still kept.
        config: The configuration as TOML.
        pictures: Pictures of the first doubtful labels.
        duplicates: Near-duplicates, where they were looked for.
        environment: Where it was done, ready for JSON.

    Raises:
        ConfigError: There is something else in that place, or it cannot be written to.
    """
    name = run_folder.CROSS_VALIDATION
    with run_folder.new_run_folder(result.run_dir, results=name) as folder:
        (folder / run_folder.CONFIG).write_text(config, encoding="utf-8")
        figures = {
            "folds": [one.as_dict() for one in result.folds.results],
            "mean": result.folds.mean(),
            "standard_deviation": result.folds.standard_deviation(),
            "out_of_fold": result.out_of_fold.as_dict(),
            "likely_wrong_labels": result.doubt.likely_wrong,
            "data": result.data,
            "timings": result.timings,
            "environment": environment,
        }
        run_folder.write_json(folder / name, figures)
        predictions = result.folds.predictions.select(
            ID, PATH, LABEL, FOLD, PREDICTION, PREDICTED_LABEL
        )
        run_folder.write_parquet(folder / run_folder.OUT_OF_FOLD, predictions.orderBy(ID))
        run_folder.write_csv(
            folder / run_folder.LABEL_DOUBT,
            [field.name for field in fields(DoubtedLabel)],
            ([_text(value) for value in astuple(one)] for one in result.doubt.listed),
        )
        write_duplicates(folder, predictions, duplicates)
        page = render_cross_validation(figures, result.doubt, pictures, config)
        (folder / run_folder.CROSS_VALIDATION_PAGE).write_text(page, encoding="utf-8")


def write_duplicates(folder: Path, images: DataFrame, found: NearDuplicates | None) -> None:
    """Write ``duplicates.csv``, where there are near-duplicates.

    Args:
        folder: Where to.
        images: ``id``, ``path`` and ``label`` of at least these.
        found: None where they were not looked for.
    """
    if found is None or found.members is None:
        return
    rows = list_duplicates(images, found.members).toLocalIterator()
    run_folder.write_csv(
        folder / run_folder.DUPLICATES,
        [CLUSTER, ID, PATH, LABEL, CONFLICTING],
        ([_text(value) for value in row] for row in rows),
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
