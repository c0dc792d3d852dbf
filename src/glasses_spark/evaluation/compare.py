"""Comparison of runs: metrics side by side, and McNemar's test of their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.columns import TEST, TRAIN, VALIDATION
from glasses_spark.evaluation.mcnemar import McNemar, holm, mcnemar

# The customary significance level.
ALPHA: Final = 0.05

# The test set first: runs are compared by it.
_PARTS: Final = (TEST, VALIDATION, TRAIN)

_HIGHER_IS_BETTER: Final = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "specificity",
        "f1",
        "mcc",
        "roc_auc",
        "pr_auc",
    }
)
_LOWER_IS_BETTER: Final = frozenset(
    {
        "log_loss",
        "stable_log_loss",
        "brier_score",
        "expected_calibration_error",
    }
)

# Differs in every run, and is shown at the top of the comparison.
_RUN_DIR: Final = "run.dir"
_DATA_KEYS: Final = ("data.images", "data.labels")

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Rows:
    """Predictions of a run for each of its images, in 11 bytes per image.

    Attributes:
        ids: Ids of the images, ascending and unique; int64, shape ``(rows,)``.
        with_glasses: Whether the label is 1; bool, shape ``(rows,)``.
        correct: Whether the predicted label equals the label; bool, shape ``(rows,)``.
        in_test: Whether the image is in the test set; bool, shape ``(rows,)``.
    """

    ids: npt.NDArray[np.int64]
    with_glasses: npt.NDArray[np.bool_]
    correct: npt.NDArray[np.bool_]
    in_test: npt.NDArray[np.bool_]

    @property
    def test_ids(self) -> npt.NDArray[np.int64]:
        """Ids of the test set, ascending."""
        return self.ids[self.in_test]

    def indices(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Return the positions of these ids in the arrays; all must be present."""
        return np.searchsorted(self.ids, ids)


@dataclass(frozen=True)
class Run:
    """A finished run, read from its run folder.

    Attributes:
        name: Short name, unique among the compared runs.
        folder: Path of the run folder.
        config: Configuration with keys such as ``section.key``.
        metrics: Metrics by part (``train``, ``test``) and name: a number, None if undefined, or
            a string for an interval.
        timings: Seconds by stage.
        environment: Versions and the machine, by name.
        history: One record per epoch, as in ``history.json``.
        rows: Predictions.
    """

    name: str
    folder: str
    config: Mapping[str, Value]
    metrics: Mapping[str, Mapping[str, Value]]
    timings: Mapping[str, float]
    environment: Mapping[str, Value]
    history: Sequence[Mapping[str, Any]]
    rows: Rows


@dataclass(frozen=True)
class Line:
    """One line of a table that has a column for each run.

    Attributes:
        name: Title of the line.
        values: One value per run; None if a run has none.
        best: Positions of the best values; empty if no value is better than another.
    """

    name: str
    values: tuple[Value, ...]
    best: tuple[int, ...] = ()


@dataclass(frozen=True)
class Curve:
    """One metric by epoch, for all runs.

    Attributes:
        name: Name of the metric, such as ``val_loss``.
        points: For each run, pairs of epoch (from 1) and value; empty if the run does not
            have the metric.
    """

    name: str
    points: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True)
class Pair:
    """McNemar's test of one run against the first.

    Attributes:
        name: Name of the run that is compared with the first.
        only_first_right: Common test images that only the first run classifies correctly.
        only_other_right: Common test images that only this run classifies correctly.
        test: Result of McNemar's test.
        adjusted_p_value: The p-value after Holm's correction for all pairs.
    """

    name: str
    only_first_right: int
    only_other_right: int
    test: McNemar
    adjusted_p_value: float

    @property
    def differs(self) -> bool:
        """Whether the difference is significant at the 5 % level."""
        return self.adjusted_p_value < ALPHA


@dataclass(frozen=True)
class Comparison:
    """A comparison of runs.

    Attributes:
        names: Short names of the runs, in the order of all values below.
        folders: Paths of the run folders.
        metrics: Lines by part, ``test`` first.
        config: Configuration keys whose values differ.
        timings: Seconds by stage.
        environment: Versions and machine properties that differ.
        curves: Metrics by epoch.
        common_rows: Number of images that are in the test sets of all runs with the same label.
        pairs: McNemar's test of each further run against the first; empty without common rows.
        notes: Restrictions on the comparison, as sentences.
    """

    names: tuple[str, ...]
    folders: tuple[str, ...]
    metrics: Mapping[str, tuple[Line, ...]]
    config: tuple[Line, ...]
    timings: tuple[Line, ...]
    environment: tuple[Line, ...]
    curves: tuple[Curve, ...]
    common_rows: int
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as dictionaries and lists, ready for JSON."""
        return asdict(self)


def compare(runs: Sequence[Run]) -> Comparison:
    """Compare runs.

    Args:
        runs: At least two; all others are tested against the first.
    """
    common, relabelled = _common_test_rows([run.rows for run in runs])
    pairs = _pairs(runs, common) if common.size else ()
    return Comparison(
        names=tuple(run.name for run in runs),
        folders=tuple(run.folder for run in runs),
        metrics={
            part: tuple(_metric_lines([run.metrics.get(part, {}) for run in runs]))
            for part in _PARTS
            if any(part in run.metrics for run in runs)
        },
        config=tuple(_differing([run.config for run in runs])),
        timings=tuple(_lines([run.timings for run in runs])),
        environment=tuple(_differing([run.environment for run in runs])),
        curves=tuple(_curves([run.history for run in runs])),
        common_rows=int(common.size),
        pairs=pairs,
        notes=tuple(_notes(runs, common, relabelled)),
    )


def _metric_lines(metrics: Sequence[Mapping[str, Value]]) -> list[Line]:
    return [Line(line.name, line.values, _best(line.name, line.values)) for line in _lines(metrics)]


def _best(name: str, values: Sequence[Value]) -> tuple[int, ...]:
    if name not in _HIGHER_IS_BETTER | _LOWER_IS_BETTER:
        return ()
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(set(numbers)) < 2:
        return ()
    best = max(numbers) if name in _HIGHER_IS_BETTER else min(numbers)
    return tuple(index for index, value in enumerate(values) if value == best)


def _lines(tables: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return one line per name, in the order of the names' first appearance."""
    names = dict.fromkeys(name for table in tables for name in table)
    return [Line(name, tuple(table.get(name) for table in tables)) for name in names]


def _differing(tables: Sequence[Mapping[str, Value]]) -> list[Line]:
    return [
        line
        for line in _lines(tables)
        if line.name != _RUN_DIR and any(value != line.values[0] for value in line.values)
    ]


def _curves(histories: Sequence[Sequence[Mapping[str, Any]]]) -> list[Curve]:
    names = dict.fromkeys(
        name
        for history in histories
        for record in history
        for name, value in record.items()
        if name not in ("epoch", "rows") and isinstance(value, int | float)
    )
    return [
        Curve(
            name,
            tuple(
                tuple((record["epoch"], record[name]) for record in history if name in record)
                for history in histories
            ),
        )
        # Training and validation next to each other: loss, val_loss, accuracy ...
        for name in sorted(names, key=lambda name: _curve_order(name, list(names)))
    ]


def _curve_order(name: str, names: Sequence[str]) -> tuple[int, bool]:
    metric = name.removeprefix("val_")
    return (names.index(metric) if metric in names else len(names), name != metric)


def _common_test_rows(runs: Sequence[Rows]) -> tuple[npt.NDArray[np.int64], int]:
    """Return the common test ids with the same label, and the number of those without."""
    shared = reduce(np.intersect1d, [rows.test_ids for rows in runs])
    labels = [rows.with_glasses[rows.indices(shared)] for rows in runs]
    same_label = np.logical_and.reduce([labels[0] == run_labels for run_labels in labels])
    return shared[same_label], int(shared.size - same_label.sum())


def _pairs(runs: Sequence[Run], common: npt.NDArray[np.int64]) -> tuple[Pair, ...]:
    first, *others = (run.rows.correct[run.rows.indices(common)] for run in runs)
    counts = [(int((first & ~other).sum()), int((other & ~first).sum())) for other in others]
    tests = [mcnemar(*count) for count in counts]
    adjusted = holm([test.p_value for test in tests])
    return tuple(
        Pair(run.name, *count, test, p_value)
        for run, count, test, p_value in zip(runs[1:], counts, tests, adjusted, strict=True)
    )


def _notes(runs: Sequence[Run], common: npt.NDArray[np.int64], relabelled: int) -> list[str]:
    notes = _notes_on_splits(runs, common.size + relabelled)
    if relabelled:
        notes.append(
            f"{relabelled:,} of the common test images have different labels in the runs and are "
            "excluded from the test."
        )
    differing = [key for key in _DATA_KEYS if len({run.config.get(key) for run in runs}) > 1]
    if differing:
        notes.append(
            f"The runs differ in {' and '.join(differing)}; images with the same id are assumed "
            "to be the same image."
        )
    return notes


def _notes_on_splits(runs: Sequence[Run], shared: int) -> list[str]:
    tested = [run.rows.test_ids for run in runs]
    if all(np.array_equal(tested[0], ids) for ids in tested):
        return []
    notes = [
        "The test sets of the runs differ ("
        + ", ".join(f"{run.name}: {ids.size:,}" for run, ids in zip(runs, tested, strict=True))
        + (f"; {shared:,} images in common" if shared else "; no image in common")
        + "), so their metrics are not directly comparable."
    ]
    if not shared:
        notes.append(
            "McNemar's test needs common test images: evaluate the runs on images that none of "
            "them was trained on, or train them with the same split.test and run.seed."
        )
    for run in runs:
        trained = run.rows.ids[~run.rows.in_test]
        overlaps = [
            f"{overlap:,} of the {ids.size:,} test images of {other.name}"
            for other, ids in zip(runs, tested, strict=True)
            if (overlap := np.intersect1d(trained, ids, assume_unique=True).size)
        ]
        if overlaps:
            notes.append(
                f"{run.name} was trained on {' and '.join(overlaps)}; its metrics on these images "
                "are too optimistic."
            )
    return notes
