"""Curves and faces as notebook output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from glasses_spark.columns import ID, LABEL, PIXELS, PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.notebook_html import cell, paragraph, side_by_side
from glasses_spark.printable import escape_html
from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.plot import inline_svg

if TYPE_CHECKING:
    from glasses_spark.evaluation.curves import Curves
    from glasses_spark.evaluation.metrics import Metrics

# Widths in CSS pixels.
_PLOT_WIDTH: Final = 400
_FACE_WIDTH: Final = 128


@dataclass(frozen=True)
class Shown:
    """Output of a notebook cell.

    Attributes:
        html: An HTML element that loads no external resource and runs no script.
        text: One line of text for terminals.
    """

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def show_curves(curves: Mapping[str, Curves], metrics: Mapping[str, Metrics]) -> Shown:
    """Show ROC, precision-recall and reliability curves and the histogram in a notebook.

    Args:
        curves: Curves by part, ``test`` among them.
        metrics: Metrics by part; those of ``test`` mark the threshold.

    Raises:
        SetupError: matplotlib is not installed.
    """
    return Shown(
        cell("Curves of the test set", curve_figures(curves, metrics)),
        f"Curves of {', '.join(curves)}",
    )


def curve_figures(curves: Mapping[str, Curves], metrics: Mapping[str, Metrics]) -> str:
    """Return the plots of `show_curves` as HTML for a cell.

    Raises:
        SetupError: matplotlib is not installed.
    """
    plots = curve_plots(
        curves, {part: part_metrics.as_dict() for part, part_metrics in metrics.items()}
    )
    return side_by_side(
        ((escape_html(plot.title), inline_svg(plot)) for plot in plots), width=_PLOT_WIDTH
    )


def show_faces(
    rows: Iterable[Mapping[str, Any]], *, height: int, width: int, title: str = "Faces"
) -> Shown:
    """Show faces with their label and, if present, the predicted probability of glasses.

    Args:
        rows: ``id``, ``label``, ``pixels`` and optionally ``prediction`` of each face, as Spark
            rows or dictionaries.
        height: Height of a face in pixels.
        width: Width of a face in pixels.
        title: Title of the output.

    Raises:
        ScoringError: The pixels do not have this height and width.
    """
    faces = list(rows)
    figures = side_by_side(_faces(faces, height, width), width=_FACE_WIDTH)
    return Shown(cell(title, figures or paragraph("None.")), f"{title}: {len(faces)}")


def _faces(rows: Sequence[Any], height: int, width: int) -> Iterator[tuple[str, str]]:
    # Imported here, because showing curves does not need OpenCV.
    from glasses_spark.reports.pictures import data_uri

    for row in rows:
        pixels = bytes(row[PIXELS])
        if len(pixels) != height * width:
            raise ScoringError(
                f"pixels: expected {height} x {width} = {height * width} bytes per face, got "
                f"{len(pixels)}. Use the height and width of the preprocessed images"
            )
        label = "glasses" if row[LABEL] == 1 else "no glasses"
        alt = f"image {row[ID]}, label {label}"
        caption = f"{row[ID]}: {label}"
        if PREDICTION in row:
            caption += f"<small>p = {float(row[PREDICTION][-1]):.3f}</small>"
        picture = data_uri(np.frombuffer(pixels, np.uint8).reshape(height, width))
        yield (
            caption,
            f'<img alt="{alt}" style="width: 100%; border-radius: 4px" src="{picture}">',
        )
