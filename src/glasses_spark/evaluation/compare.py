"""Compare: several runs side by side, and whether their models differ by more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.evaluation.mcnemar import McNemar, holm, mcnemar

# Level at which a difference is called one, as is customary.
ALPHA: Final = 0.05

TEST: Final = "test"
# What was held back comes first: it is what runs are compared by.
_PARTS: Final = (TEST, "validation", "train")

_MORE_IS_BETTER: Final = frozenset(
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
_LESS_IS_BETTER: Final = frozenset(
    {
        "log_loss",
        "stable_log_loss",
        "brier_score",
        "expected_calibration_error",
    }
)

# The name of a run's own folder: it differs in any case, and stands at the head of the table.
_OWN_PLACE: Final = "run.dir"
_PLACES_OF_IMAGES: Final = ("data.images", "data.labels")

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Rows:
    """What a run has made of each of its images; 11 bytes a row.

    Attributes:
        ids: Numbers of the images, ascending, each once; int64, shape ``(rows,)``.
        with_glasses: Whether the label is 1; bool, shape ``(rows,)``.
        right: Whether the predicted label is the label; bool, shape ``(rows,)``.
        in_test: Whether the row was held back for the test; bool, shape ``(rows,)``.
    """

    ids: npt.NDArray[np.int64]
    with_glasses: npt.NDArray[np.bool_]
    right: npt.NDArray[np.bool_]
    in_test: npt.NDArray[np.bool_]

    @property
    def test_ids(self) -> npt.NDArray[np.int64]:
        """Numbers of the images of the test, ascending."""
        return self.ids[self.in_test]

    def places(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Where these ids, which must all be there, stand in the arrays."""
        return np.searchsorted(self.ids, ids)


@dataclass(frozen=True)
class Run:
    """A finished run, as its folder has it.

    Attributes:
        name: Short, and different from those of the others.
        folder: Where it lies.
        config: Each key of the configuration, as ``section.key``.
        metrics: Numbers by name, by part (``train``, ``test``); None where undefined. What is
            said of a number in words, such as its interval, is a text.
        timings: Seconds by stage.
        environment: Versions, cores and the like, by name.
        history: One record an epoch, as in ``history.json``.
        rows: What it has made of each image.
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
    """One line of a table with a column for each run.

    Attributes:
        name: What stands in it.
        values: One for each run; None where a run has none.
        best: Which of them are the best; empty where none is better than another.
    """

    name: str
    values: tuple[Value, ...]
    best: tuple[int, ...] = ()


@dataclass(frozen=True)
class Curve:
    """One figure through the epochs, for all runs.

    Attributes:
        name: Name of the figure, such as ``val_loss``.
        points: For each run its epochs, from 1, each with its value; empty where the run
            does not have the figure.
    """

    name: str
    points: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True)
class Pair:
    """McNemar's test of one run against the first.

    Attributes:
        name: Name of the run that is compared with the first.
        only_first_right: Common test rows on which only the first run is right.
        only_other_right: Common test rows on which only this run is right.
        test: What McNemar's test says of them.
        adjusted_p_value: The p-value after Holm's correction for all pairs.
    """

    name: str
    only_first_right: int
    only_other_right: int
    test: McNemar
    adjusted_p_value: float

    @property
    def differs(self) -> bool:
        """Whether the difference is called one at the level of 5 %."""
        return self.adjusted_p_value < ALPHA


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        names: Short names of the runs, in the order of all values below.
        folders: Where they lie.
        metrics: Lines by part, ``test`` first.
        config: Keys of the configuration whose values differ.
        timings: Seconds by stage.
        environment: What differs in versions, cores and the like.
        curves: Figures through the epochs.
        common_rows: Rows that are test rows in all runs, with one label.
        pairs: McNemar's test of each further run against the first; empty without common rows.
        notes: What to know before reading the rest, as sentences.
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
    """Lay runs side by side.

    Args:
        runs: At least two; the others are tested against the first.

    Returns:
        The comparison.
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
    if name not in _MORE_IS_BETTER | _LESS_IS_BETTER:
        return ()
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(set(numbers)) < 2:
        return ()
    best = max(numbers) if name in _MORE_IS_BETTER else min(numbers)
    return tuple(place for place, value in enumerate(values) if value == best)


def _lines(tables: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Bring together what is of one name, in the order in which the names first come."""
    names = dict.fromkeys(name for table in tables for name in table)
    return [Line(name, tuple(table.get(name) for table in tables)) for name in names]


def _differing(tables: Sequence[Mapping[str, Value]]) -> list[Line]:
    return [
        line
        for line in _lines(tables)
        if line.name != _OWN_PLACE and any(value != line.values[0] for value in line.values)
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
        # The training's own figure beside that of the validation: loss, val_loss, accuracy ...
        for name in sorted(names, key=lambda name: _curve_order(name, list(names)))
    ]


def _curve_order(name: str, names: Sequence[str]) -> tuple[int, bool]:
    of = name.removeprefix("val_")
    return (names.index(of) if of in names else len(names), name != of)


def _common_test_rows(runs: Sequence[Rows]) -> tuple[npt.NDArray[np.int64], int]:
    """Return the ids that all runs tested on with one label, and how many had several."""
    shared = reduce(np.intersect1d, [rows.test_ids for rows in runs])
    labels = [rows.with_glasses[rows.places(shared)] for rows in runs]
    alike = np.logical_and.reduce([labels[0] == other for other in labels])
    return shared[alike], int(shared.size - alike.sum())


def _pairs(runs: Sequence[Run], common: npt.NDArray[np.int64]) -> tuple[Pair, ...]:
    first, *others = (run.rows.right[run.rows.places(common)] for run in runs)
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
            f"{relabelled:,} of the common test rows have another label in one run than in "
            "another, and are left out of the test."
        )
    elsewhere = [key for key in _PLACES_OF_IMAGES if len({run.config.get(key) for run in runs}) > 1]
    if elsewhere:
        notes.append(
            f"The runs differ in {' and '.join(elsewhere)}; rows are taken for the same image "
            "where their numbers are the same."
        )
    return notes


def _notes_on_splits(runs: Sequence[Run], shared: int) -> list[str]:
    tested = [run.rows.test_ids for run in runs]
    if all(np.array_equal(tested[0], other) for other in tested):
        return []
    notes = [
        "The runs were not tested on the same rows ("
        + ", ".join(f"{run.name} on {ids.size:,}" for run, ids in zip(runs, tested, strict=True))
        + (f"; {shared:,} are common to all" if shared else "; none is common to all")
        + "): their metrics are not of the same images."
    ]
    if not shared:
        notes.append(
            "Without a common test row there is nothing to test: evaluate the runs on images "
            "that none of them has seen, or train them with one split.test and run.seed."
        )
    for run in runs:
        seen = run.rows.ids[~run.rows.in_test]
        overlaps = [
            f"{overlap:,} of the {ids.size:,} test rows of {other.name}"
            for other, ids in zip(runs, tested, strict=True)
            if (overlap := np.intersect1d(seen, ids, assume_unique=True).size)
        ]
        if overlaps:
            notes.append(
                f"{run.name} was trained on {' and '.join(overlaps)}: do not judge it by these."
            )
    return notes
