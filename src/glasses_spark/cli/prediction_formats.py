"""Formats of predictions: a table, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TextIO

from glasses_spark.columns import PATH, PREDICTED_LABEL
from glasses_spark.printable import csv_cell, printable

if TYPE_CHECKING:
    from glasses_spark.scorer.scorer import Score

TABLE: Final = "table"
CSV: Final = "csv"
JSON: Final = "json"

PROBABILITY: Final = "probability"


def write_table(scores: Iterable[Score], file: TextIO) -> None:
    """Write a line for each image; the name is the last column, because it can be long."""
    file.write("probability  label  image\n")
    for score in scores:
        if score.probability is None:
            name, error = printable(score.name), printable(score.error or "")
            file.write(f"{'-':>11}  {'-':>5}  {name}: {error}\n")
        else:
            warning = f": {printable(score.warning)}" if score.warning else ""
            file.write(
                f"{score.probability:11.6f}  {score.label:5d}  {printable(score.name)}{warning}\n"
            )


def write_csv(scores: Iterable[Score], file: TextIO) -> None:
    """Write a row for each image that can be decoded."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([PATH, PROBABILITY, PREDICTED_LABEL])
    for score in scores:
        if score.probability is not None:
            writer.writerow([csv_cell(score.name), f"{score.probability:.6f}", score.label])


def write_json(scores: Iterable[Score], file: TextIO) -> None:
    """Write a JSON object in a line for each image; ``error`` is null if it can be decoded.

    JSON escapes control characters, and bytes of a name that are not UTF-8, itself.
    """
    for score in scores:
        row = {
            PATH: score.name,
            PROBABILITY: score.probability,
            PREDICTED_LABEL: score.label,
            "error": score.error,
            "warning": score.warning,
        }
        file.write(f"{json.dumps(row)}\n")


FORMATS: Final[dict[str, Callable[[Iterable[Score], TextIO], None]]] = {
    TABLE: write_table,
    CSV: write_csv,
    JSON: write_json,
}
