"""Small runs for tests of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from glasses_spark.evaluation.compare import Rows, Run


def make_rows(test: Mapping[int, bool], train: Sequence[int] = ()) -> Rows:
    """Return rows: test images by id, each with whether it is correct, and training ids."""
    ids = sorted([*test, *train])
    return Rows(
        ids=np.array(ids, dtype=np.int64),
        with_glasses=np.array([number % 2 == 1 for number in ids]),
        correct=np.array([test.get(number, True) for number in ids]),
        in_test=np.array([number in test for number in ids]),
    )


SAME_ROWS = make_rows({1: True, 2: True, 3: False, 4: True}, train=[5, 6])


def make_run(name: str, rows: Rows = SAME_ROWS, **changes: Any) -> Run:
    """Return a run of two epochs, with some of its fields replaced."""
    run = Run(
        name=name,
        folder=f"runs/{name}",
        config={"training.epochs": 2, "training.mode": "synchronous", "run.dir": f"runs/{name}"},
        metrics={"train": {"accuracy": 0.9}, "test": {"rows": 4, "accuracy": 0.75}},
        timings={"fit_s": 12.0},
        environment={"cpus": 2, "packages.keras": "3.15.1"},
        history=[
            {"epoch": 1, "loss": 0.7, "accuracy": 0.5, "val_loss": 0.6, "rows": 8, "workers": []},
            {"epoch": 2, "loss": 0.3, "accuracy": 0.9, "val_loss": 0.4, "rows": 8, "workers": []},
        ],
        rows=rows,
    )
    return replace(run, **changes)
