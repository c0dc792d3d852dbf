"""Report of a cross-validation, as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pyspark.sql import DataFrame

from glasses_spark.evaluation.cross_validation import SHOWN
from glasses_spark.evaluation.label_doubt import DoubtedLabel, LabelDoubt
from glasses_spark.notebook_html import number
from glasses_spark.printable import escape_html
from glasses_spark.reports.pictures import Picture, data_uri, pictures_by_id
from glasses_spark.reports.plots.palette import DARK, LIGHT

# Pixels of images by their ids.
Pictures: TypeAlias = Mapping[int, Picture]

# Labels in doubt that are shown with a picture: four rows on a wide page.
PICTURES: Final = 24

_TITLES: Final = {
    "accuracy": "accuracy",
    "log_loss": "log loss, nats per image",
    "stable_log_loss": "log loss from logits",
    "roc_auc": "area under the ROC curve",
}

_LABELS: Final = {0.0: "no glasses", 1.0: "glasses"}

_STYLE: Final = (
    f":root {{ color-scheme: light dark; {LIGHT.css} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {DARK.css} }} }}\n"
    """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto;
  padding: 0 1rem; color: var(--ink); background: var(--paper); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
tfoot { font-weight: 600; }
.wide { overflow-x: auto; }
.verdict { font-size: 1.3rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr));
  gap: 1rem 2rem; margin-top: 2rem; }
.plots figure { margin: 0; }
.plots svg { width: 100%; height: auto; }
figcaption, .muted { color: var(--muted); }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr));
  gap: 1rem; padding: 0; list-style: none; }
.faces img { width: 100%; height: auto; image-rendering: auto; border-radius: .3rem; }
.faces p { margin: 0; font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; }
.likely { color: var(--none); font-weight: 600; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid var(--line); }
@media print { .faces li, figure { break-inside: avoid; } }
"""
)


def fetch_pictures(
    pixels: DataFrame,
    doubted: Sequence[DoubtedLabel],
    *,
    height: int,
    width: int,
    count: int = PICTURES,
) -> Pictures:
    """Collect the pictures of the most doubtful labels, at most ``count`` rows.

    Args:
        pixels: ``id`` and ``pixels`` (``height * width`` bytes) of at least these images.
        doubted: Labels by rank.
        height: Height of a picture in pixels.
        width: Width of a picture in pixels.
        count: Most pictures.

    Returns:
        Pictures by id, each ``(height, width)``, uint8 grey.
    """
    ids = [label.id for label in doubted[:count]]
    return pictures_by_id(pixels, ids, height=height, width=width)


def render_cross_validation(
    figures: Mapping[str, Any], doubt: LabelDoubt, pictures: Pictures, config: str
) -> str:
    """Render the page.

    Args:
        figures: Contents of ``cross_validation.json``.
        doubt: The labels in doubt.
        pictures: Pictures of the first of them.
        config: The configuration as TOML.

    Returns:
        HTML that loads no external resource and runs no script. External text, such as file
        names, is escaped.
    """
    folds, mean, deviation = (figures[name] for name in ("folds", "mean", "standard_deviation"))
    names = [name for name in SHOWN if name in mean]
    count = len(folds)
    sections = [
        f"<h1>Glasses or no glasses: cross-validation with {count} folds</h1>",
        f'<p class="verdict">Accuracy {mean["accuracy"]:.4f} &plusmn; {deviation["accuracy"]:.4f}, '
        f"log loss {mean['log_loss']:.4f} &plusmn; {deviation['log_loss']:.4f} (mean and standard "
        f"deviation over {count} folds). Each fold is scored by a model that was not trained on "
        "it.</p>",
        "<h2>Folds</h2>",
        _folds_table(folds, mean, deviation, names),
        f'<div class="plots">{"".join(_plot(folds, mean, deviation, n) for n in names)}</div>',
        "<h2>Labels in doubt</h2>",
        f"<p>{doubt.likely_wrong:,} of {doubt.rows:,} labels are likely wrong: the other label is "
        "at least as probable as it is on average for images with that label. The most doubtful "
        "labels are below; <code>label_doubt.csv</code> lists more.</p>",
        _gallery(doubt.listed, pictures),
        "<h2>Images</h2>",
        _table(["", "count"], _titled(figures["data"])),
        "<h2>Run time</h2>",
        _table(["", "seconds"], _titled(figures["timings"])),
        "<h2>Configuration</h2>",
        f"<pre>{escape_html(config)}</pre>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Glasses or no glasses: cross-validation</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(sections)}\n</main>\n</body>\n</html>\n"
    )


def _folds_table(
    folds: Sequence[Mapping[str, Any]],
    mean: Mapping[str, float],
    deviation: Mapping[str, float],
    names: Sequence[str],
) -> str:
    head = [
        "fold",
        "training images",
        "held-out images",
        *(_TITLES[name] for name in names),
        "seconds",
    ]
    rows = [
        [
            fold["fold"] + 1,
            fold["train_rows"],
            fold["rows"],
            *(fold[name] for name in names),
            f"{fold['fit_s']:.1f}",
        ]
        for fold in folds
    ]
    foot = [
        ["mean", "", "", *(mean[name] for name in names), ""],
        ["standard deviation", "", "", *(deviation[name] for name in names), ""],
    ]
    return _table(head, rows, foot)


def _plot(
    folds: Sequence[Mapping[str, Any]],
    mean: Mapping[str, float],
    deviation: Mapping[str, float],
    name: str,
) -> str:
    """Draw one metric: a dot per fold, a line at the mean, a band of one standard deviation."""
    values = [fold[name] for fold in folds]
    low = min(*values, mean[name] - deviation[name])
    high = max(*values, mean[name] + deviation[name])
    margin = 0.1 * (high - low) or 0.01
    low, high = low - margin, high + margin
    left, right, top, bottom = 56, 350, 8, 150

    def y(value: float) -> str:
        return f"{bottom - (bottom - top) * (value - low) / (high - low):.1f}"

    band = float(y(mean[name] - deviation[name])) - float(y(mean[name] + deviation[name]))
    step = (right - left) / len(values)
    dots = "".join(
        f'<circle cx="{left + step * (index + 0.5):.1f}" cy="{y(value)}" r="4.5" '
        f'fill="var(--glasses)"><title>fold {index + 1}: {value:.4f}</title></circle>'
        f'<text x="{left + step * (index + 0.5):.1f}" y="{bottom + 18}" text-anchor="middle">'
        f"{index + 1}</text>"
        for index, value in enumerate(values)
    )
    tick_labels = "".join(
        f'<text x="{left - 6}" y="{y(value)}" dy="4" text-anchor="end">{value:.4f}</text>'
        for value in (low, mean[name], high)
    )
    alt = (
        f"{_TITLES[name]} by fold: "
        + ", ".join(f"{value:.4f}" for value in values)
        + f"; mean {mean[name]:.4f}, standard deviation {deviation[name]:.4f}"
    )
    return (
        f'<figure><svg viewBox="0 0 360 176" role="img" aria-label="{escape_html(alt)}" '
        'font-size="11" fill="var(--muted)">'
        f'<rect x="{left}" y="{y(mean[name] + deviation[name])}" width="{right - left}" '
        f'height="{band:.1f}" fill="var(--glasses)" opacity="0.15"/>'
        f'<line x1="{left}" x2="{right}" y1="{y(mean[name])}" y2="{y(mean[name])}" '
        'stroke="var(--glasses)" stroke-dasharray="4 3"/>'
        f'<line x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="var(--line)"/>'
        f"{tick_labels}{dots}</svg>"
        f"<figcaption>{escape_html(_TITLES[name])} by fold, with mean and standard deviation"
        "</figcaption></figure>"
    )


def _gallery(doubted: Sequence[DoubtedLabel], pictures: Pictures) -> str:
    items = [_face(label, pictures[label.id]) for label in doubted if label.id in pictures]
    return f'<ol class="faces">\n{"".join(items)}</ol>' if items else "<p>None.</p>"


def _face(doubted: DoubtedLabel, picture: Picture) -> str:
    label, name = _LABELS[doubted.label], escape_html(doubted.path.rsplit("/", 1)[-1])
    mark = '<br><span class="likely">likely wrong</span>' if doubted.likely_wrong else ""
    return (
        f'<li><img src="{data_uri(picture)}" width="{picture.shape[1]}" '
        f'height="{picture.shape[0]}" '
        f'alt="Image {doubted.id}, label {label}">'
        f"<p>{doubted.rank}. {name}<br>label <strong>{label}</strong><br>"
        f"probability of glasses {doubted.probability:.4f}{mark}</p></li>\n"
    )


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    foot: Iterable[Sequence[Any]] = (),
) -> str:
    columns = "".join(f'<th scope="col">{escape_html(name)}</th>' for name in head)
    return (
        f'<div class="wide"><table><thead><tr>{columns}</tr></thead>\n'
        f"<tbody>\n{_lines(rows)}</tbody><tfoot>{_lines(foot)}</tfoot></table></div>"
    )


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    return "".join(
        f"<tr>{''.join(f'<td>{escape_html(number(value))}</td>' for value in row)}</tr>\n"
        for row in rows
    )


def _titled(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name.removesuffix("_s").replace("_", " "), value) for name, value in values.items()]
