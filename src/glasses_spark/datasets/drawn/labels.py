"""Labels for drawn faces, from a seeded generator.

The `labels.csv` at the top of the repository belongs to drawn faces. It is **not** the labels
file of the Kaggle data set (`jeffheaton/glasses-or-no-glasses`), which only has the same format:
`write_labels(Path("labels.csv"), make_labels(2400, 0))` made it. Do not use it for real images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from glasses_spark.datasets.drawn.atomic_file import write_file
from glasses_spark.errors import ConfigError
from glasses_spark.loading.labels_file import CSV_COLUMNS

# Undefined labels in every set, as in the Kaggle data set.
_EMPTY: Final = 6
_NAN: Final = 3
_WITH_GLASSES: Final = 0.56  # share of the defined labels


def make_labels(rows: int, seed: int) -> list[tuple[int, str]]:
    """Generate labels for drawn faces.

    Args:
        rows: Number of labels, at least 9. The indexes are 1 to `rows`.
        seed: Seed of the order, at least 0.

    Returns:
        Rows (index, text of the label) in random order of the labels: 6 are empty, 3 are
        `nan`, 56 % of the others are `1.0` and the rest `0.0`.

    Raises:
        ConfigError: A number is out of range.
    """
    undefined = _EMPTY + _NAN
    if rows < undefined or seed < 0:
        raise ConfigError(
            f"rows is {rows} and seed {seed}: expected at least {undefined} rows, seed 0 or more"
        )
    defined = rows - undefined
    glasses = round(defined * _WITH_GLASSES)
    texts = [""] * _EMPTY + ["nan"] * _NAN + ["1.0"] * glasses + ["0.0"] * (defined - glasses)
    order = np.random.default_rng(seed).permutation(rows)
    return [(index, texts[position]) for index, position in enumerate(order, start=1)]


def write_labels(path: Path, rows: Sequence[tuple[int, str]]) -> None:
    """Write a labels file.

    Args:
        path: Path of the file; an existing file is replaced.
        rows: Index and text of each label, from `make_labels`.
    """
    lines = [",".join(CSV_COLUMNS), *(f"{index},{label}" for index, label in rows)]
    write_file(path, ("\n".join(lines) + "\n").encode())
