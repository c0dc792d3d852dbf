"""Notebook: curves and faces to look at in a cell."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from glasses_spark.columns import ID, LABEL, PIXELS, PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.notebook_html import cell, paragraph, side_by_side
from glasses_spark.reports.plots.curves import curve_plots
from glasses_spark.reports.plots.plot import inline_svg

if TYPE_CHECKING:
    from glasses_spark.evaluation.curves import Curves
    from glasses_spark.evaluation.metrics import Metrics

# In CSS pixels.
_PLOT_WIDTH: Final = 400
_FACE_WIDTH: Final = 128


@dataclass(frozen=True)
class Shown:
    """What a cell shows when it is the cell's value.

    Attributes:
        html: An element that loads nothing and runs no script.
        text: The same for terminals, in a line.
    """

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def show_curves(curves: Mapping[str, Curves], metrics: Mapping[str, Metrics]) -> Shown:
    """Show how well the parts are told apart, and how far probabilities can be trusted.

    Args:
        curves: Curves by the name of their part, ``test`` among them.
        metrics: Metrics by the name of their part; those of ``test`` mark the threshold.
    """
    return Shown(
        cell("Curves of the test images", curve_figures(curves, metrics)),
        f"Curves of {', '.join(curves)}",
    )


def curve_figures(curves: Mapping[str, Curves], metrics: Mapping[str, Metrics]) -> str:
    """The same as a part of a cell."""
    found = {part: one.as_dict() for part, one in metrics.items()}
    plots = curve_plots(curves, found)
    return side_by_side(
        ((escape(plot.title), inline_svg(plot)) for plot in plots), width=_PLOT_WIDTH
    )


def show_faces(
    rows: Iterable[Mapping[str, Any]], *, height: int, width: int, title: str = "Faces"
) -> Shown:
    """Show faces with their label, and the probability of glasses where they were given one.

    Args:
        rows: ``id``, ``label``, ``pixels`` and, where there is one, ``prediction`` of each
            face, as rows of Spark or dictionaries: as many as one wants to look at.
        height: Rows of pixels in a face.
        width: Pixels in such a row.
        title: What is to be seen.

    Raises:
        ScoringError: Pixels are of another size.
    """
    faces = list(rows)
    figures = side_by_side(_faces(faces, height, width), width=_FACE_WIDTH)
    return Shown(cell(title, figures or paragraph("None.")), f"{title}: {len(faces)}")


def _faces(rows: Sequence[Any], height: int, width: int) -> Iterator[tuple[str, str]]:
    for row in rows:
        pixels = bytes(row[PIXELS])
        if len(pixels) != height * width:
            raise ScoringError(
                f"pixels: expected {height} x {width} = {height * width} bytes a face, got "
                f"{len(pixels)}; give the height and width that the images were brought to"
            )
        said = "glasses" if row[LABEL] == 1 else "none"
        alt = f"face {row[ID]}, label {said}"
        caption = f"{row[ID]}: {said}"
        if PREDICTION in row:
            caption += f"<small>p = {float(row[PREDICTION][0]):.3f}</small>"
        picture = _png(np.frombuffer(pixels, np.uint8).reshape(height, width))
        yield (
            caption,
            f'<img alt="{alt}" style="width: 100%; border-radius: 4px" '
            f'src="data:image/png;base64,{picture}">',
        )


def _png(pixels: Any) -> str:
    # Imported here: who only judges predictions does without.
    import cv2

    _, encoded = cv2.imencode(".png", pixels)
    return base64.b64encode(encoded.tobytes()).decode("ascii")
