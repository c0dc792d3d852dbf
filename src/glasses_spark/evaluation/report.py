"""Report: what a run has brought, as one page that needs nothing else to be read."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from glasses_spark.evaluation.gallery import Face, Gallery, png
from glasses_spark.evaluation.plots import (
    DARK,
    LIGHT,
    Plot,
    curve_plots,
    inline_svg,
    learning_plots,
    worker_plots,
)
from glasses_spark.evaluation.saliency import overlay

if TYPE_CHECKING:
    from glasses_spark.evaluation.curves import Curves

# Epochs 10, batch 128, 4 workers, asynchronous, on Kaggle's glasses-or-no-glasses.
PUBLISHED: Final = {"accuracy": 0.9969, "log_loss": 0.0108}
# That data set: its images, and those whose label is empty or nan.
_PUBLISHED_IMAGES: Final = 5000
_PUBLISHED_UNDEFINED: Final = 37

# Longer lists would make the page too large for a browser, and nobody reads them there.
_MOST_PUT_ASIDE: Final = 100
# Longest side of a picture in pixels: more would make the page too large, too.
_PICTURE_SIDE: Final = 192

# What counts comes first, where narrow screens show it.
_PARTS: Final = ("test", "validation", "train")
# From the names of metrics.json to words.
_METRICS: Final = {
    "rows": "images",
    "threshold": "threshold",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall (sensitivity)",
    "specificity": "specificity",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "roc_auc": "area under the ROC curve",
    "pr_auc": "area under precision over recall",
    "log_loss": "log loss, nats an image",
    "stable_log_loss": "log loss from logits",
    "brier_score": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "tp": "glasses, found",
    "fn": "glasses, missed",
    "fp": "no glasses, taken for some",
    "tn": "no glasses, seen as such",
}
_DATA: Final = {
    "images": "found",
    "used": "used, for training, validation and test",
    "undefined_label": "left out: the label is empty or nan",
    "unlabelled": "left out: no label for the number in the name",
    "quarantined": "left out: cannot be decoded",
    "beyond_limit": "left out: more than data.limit",
    "label_without_image": "labels without an image",
}
_STAGES: Final = {
    "preprocess_s": "listing and decoding",
    "fit_s": "training",
    "score_s": "scoring and metrics",
    "total_s": "all",
}


def render_report(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    quarantine: Sequence[tuple[str, str]],
    config: str,
    *,
    curves: Mapping[str, Curves] | None = None,
    gallery: Gallery | None = None,
) -> str:
    """Make the page.

    Args:
        metrics: What ``metrics.json`` holds.
        history: What ``history.json`` holds.
        quarantine: Path of each image that was put aside, and why.
        config: The configuration as TOML.
        curves: Curves by the name of their part, ``test`` among them; None leaves them out.
        gallery: Faces of the test part to look at; None leaves them out.

    Returns:
        HTML that loads nothing and runs no script. Whatever comes from outside,
        such as a file's name, is shown as text.
    """
    # Imported here: only who writes a page needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("glasses_spark", "evaluation/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _text
    # What is drawn here, with all text in it escaped, may stand as it is.
    environment.filters["svg"] = lambda plot: Markup(inline_svg(plot))
    settings = tomllib.loads(config)
    return environment.get_template("report.html.j2").render(
        light=asdict(LIGHT),
        dark=asdict(DARK),
        contents=_CONTENTS,
        lead=_lead(metrics["test"]),
        summary=_summary(settings),
        cards=list(_cards(metrics)),
        comparison=_comparison(metrics["data"]),
        figures=_figures(metrics),
        confusion=_confusion(metrics["test"]),
        thresholds=_thresholds(metrics.get("thresholds")),
        learning=_learning(history),
        workers=_workers(history, settings),
        curves=_curves(curves, metrics),
        galleries=[*_galleries(gallery)],
        images=_images(metrics["data"]),
        quarantine={
            "caption": _put_aside_caption(len(quarantine)),
            "rows": quarantine[:_MOST_PUT_ASIDE],
        },
        time=_time(metrics["timings"]),
        origin=_origin(metrics, settings),
        settings=config.strip().split("\n\n") if config.strip() else [],
    )


def report_plots(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    *,
    curves: Mapping[str, Curves] | None = None,
) -> list[Plot]:
    """Return the plots of the page, in its order, to be written as files.

    Args:
        metrics: What ``metrics.json`` holds.
        history: What ``history.json`` holds.
        curves: Curves by the name of their part; None leaves them out.
    """
    return [
        *learning_plots(history),
        *worker_plots(history),
        *(curve_plots(curves, metrics) if curves else []),
    ]


_CONTENTS: Final = (
    ("verdict", "Verdict"),
    ("confusion", "Right and wrong"),
    ("learning", "Learning"),
    ("workers", "Workers"),
    ("curves", "Ranking and trust"),
    ("mistakes", "Worst mistakes"),
    ("uncertain", "Least certain"),
    ("images", "Images"),
    ("time", "Time"),
    ("origin", "Origin"),
    ("configuration", "Configuration"),
)


def _lead(test: Mapping[str, Any]) -> str:
    rows, right = test["rows"], round(test["rows"] * test["accuracy"])
    told = f"{right:,} of {rows:,} faces that were held back were judged rightly"
    if "fn" not in test or "fp" not in test:
        return f"{told}."
    return (
        f"{told}: {_were(test['fn'])} missed with glasses on, and {_were(test['fp'])} taken for "
        "wearing some."
    )


def _were(count: int) -> str:
    return "one was" if count == 1 else f"{count:,} were" if count else "none was"


def _summary(settings: Mapping[str, Any]) -> str:
    training, run = settings.get("training", {}), settings.get("run", {})
    parts = [
        f"{training['epochs']} epochs" if "epochs" in training else "",
        f"batches of {training['batch_size']}" if "batch_size" in training else "",
        f"{training['mode']} by {training['frequency']}"
        if {"mode", "frequency"} <= set(training)
        else "",
        f"seed {run['seed']}" if "seed" in run else "",
    ]
    return ", ".join(part for part in parts if part)


def _cards(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    test = metrics["test"]
    for name, words, meaning in (
        ("accuracy", "Test accuracy", "Part of the test images that were judged rightly."),
        ("log_loss", "Test log loss", "In nats an image: 0 is perfect, 0.6931 is guessing."),
        ("roc_auc", "Test area under ROC", "1 ranks all with glasses above all without."),
    ):
        value, interval = test.get(name), _interval(test, name)
        published = PUBLISHED.get(name)
        yield {
            "name": words,
            "value": _text(value),
            "range": _range(value, interval, published),
            "interval": f"95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
            "published": _text(published) if published is not None else "",
            "note": "Undefined: all test images have one label." if value is None else meaning,
        }


def _interval(part: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    found = part.get("intervals", {}).get(name)
    return (found[0], found[1]) if found else None


def _range(
    value: float | None, interval: tuple[float, float] | None, published: float | None
) -> dict[str, float | None] | None:
    """Places on a line, in per cent of its length, so that all that is known fits on it."""
    if value is None or (interval is None and published is None):
        return None
    known: list[float] = [value, *(interval or ())]
    if published is not None:
        known.append(published)
    margin = (max(known) - min(known)) * 0.15 or 0.01
    start, length = min(known) - margin, max(known) - min(known) + 2 * margin

    def place(at: float) -> float:
        return float(round(100 * (at - start) / length, 2))

    return {
        "value": place(value),
        "left": place(interval[0]) if interval else None,
        "width": round(place(interval[1]) - place(interval[0]), 2) if interval else None,
        "published": place(published) if published is not None else None,
    }


def _comparison(data: Mapping[str, Any]) -> str:
    published = "The published figures, 0.9969 and 0.0108, are of 10 epochs on Kaggle's"
    if (data.get("images"), data.get("undefined_label")) == (
        _PUBLISHED_IMAGES,
        _PUBLISHED_UNDEFINED,
    ):
        return (
            f"{published} glasses-or-no-glasses; this run has as many images and as many without "
            "a label as that data set."
        )
    return (
        f"{published} glasses-or-no-glasses (5,000 generated faces). This run's images are others, "
        "so the figures say how large such numbers are, not which run is better."
    )


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    parts = [part for part in _PARTS if part in metrics]

    def cell(part: str, name: str) -> dict[str, str]:
        interval = _interval(metrics[part], name)
        return {
            "value": _text(metrics[part].get(name)),
            "interval": f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
        }

    return {
        "parts": parts,
        "rows": [
            {"name": words, "cells": [cell(part, name) for part in parts]}
            for name, words in _METRICS.items()
            if any(name in metrics[part] for part in parts)
        ],
        "has_intervals": any(metrics[part].get("intervals") for part in parts),
    }


def _confusion(test: Mapping[str, Any]) -> dict[str, Any] | None:
    if not all(name in test for name in ("tp", "fp", "tn", "fn")):
        return None

    def row(label: str, cells: Sequence[tuple[int, str, bool]]) -> dict[str, Any]:
        total = sum(count for count, _, _ in cells)
        return {
            "label": label,
            "total": f"{total:,} images",
            "cells": [
                {
                    "count": f"{count:,}",
                    "words": words,
                    "right": right,
                    "share": round(count / total, 4) if total else 0,
                    "percent": f"{100 * count / total:.1f} %" if total else "-",
                }
                for count, words, right in cells
            ],
        }

    return {
        "threshold": _text(test.get("threshold")),
        "rows": [
            row("glasses", [(test["tp"], "found", True), (test["fn"], "missed", False)]),
            row("no glasses", [(test["fp"], "false alarm", False), (test["tn"], "right", True)]),
        ],
    }


def _thresholds(found: Mapping[str, Any] | None) -> list[tuple[str, Any, Any, Any, Any]]:
    """A row a threshold, what it gives on the test images; none where none was chosen."""
    if not found:
        return []
    choices = {"as configured": found["configured"]}
    choices |= {f"best {name.replace('_', ' ')}": one for name, one in found["best"].items()}
    rows = []
    for name, choice in choices.items():
        test = choice["outcomes"]["test"]
        rows.append((name, choice["threshold"], test["accuracy"], test["fn"], test["fp"]))
    return rows


def _calibration(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    if found.get("temperature") is None:
        return ["The validation images tell no temperature: the probabilities are as they were."]
    before, after = (
        found[when]["test"]["expected_calibration_error"] for when in ("before", "after")
    )
    return [
        f"The logits were divided by a temperature of {found['temperature']:.4f}, found on "
        f"{found['fitted_on']:,} validation images: the expected calibration error of the test "
        f"images was {before:.4f} and is {after:.4f}."
    ]


def _learning(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    plots = learning_plots(history)
    notes = []
    if not history:
        notes.append("The model was not trained in this run, so there is no epoch to show.")
    elif not any(name.startswith("val_") for name in history[0]):
        notes.append(
            "There are no validation rows: set split.validation, to 0.1 say, to see beside these "
            "how the model does on images that it does not learn from."
        )
    names = [name for name in history[0] if name not in ("epoch", "workers")] if history else []
    return {
        "plots": plots,
        "notes": notes,
        "head": ["epoch", *(name.replace("_", " ") for name in names)],
        "rows": [(record["epoch"], *(record.get(name) for name in names)) for record in history],
    }


def _workers(history: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    plots, notes = worker_plots(history), []
    if not plots:
        notes.append("The history names no workers.")
    else:
        notes.append(
            "The rows of a worker do not change; its seconds contain what it waited for the "
            "parameter server."
        )
        if not any(plot.name == "workers-staleness" for plot in plots):
            mode = settings.get("training", {}).get("mode", "")
            notes.append(
                "No update was stale: in synchronous mode each waits for all workers."
                if mode == "synchronous"
                else "No update was stale: none met another between its pull and its push."
            )
        else:
            notes.append(
                "Staleness is the mean number of updates by others between a worker's pull of the "
                "weights and its push."
            )
    shares: dict[int, list[Mapping[str, Any]]] = {}
    for record in history:
        for share in record.get("workers", ()):
            shares.setdefault(share["worker"], []).append(share)

    def total(of: Sequence[Mapping[str, Any]], name: str) -> float:
        return float(sum(share.get(name, 0) for share in of))

    return {
        "plots": plots,
        "notes": notes,
        "head": ["worker", "rows", "seconds", "of them waiting", "mean staleness"],
        "rows": [
            (
                worker,
                int(total(of, "rows")),
                total(of, "seconds"),
                total(of, "waiting_seconds"),
                total(of, "staleness") / len(of),
            )
            for worker, of in sorted(shares.items())
        ],
    }


def _curves(curves: Mapping[str, Curves] | None, metrics: Mapping[str, Any]) -> dict[str, Any]:
    if not curves:
        return {"plots": [], "notes": ["This run has no curves."]}
    plots = curve_plots(curves, metrics)
    notes = [
        "How well the probabilities rank the images, and whether they can be taken at their word.",
        *_calibration(metrics.get("calibration")),
    ]
    if not curves["test"].roc:
        notes.append(
            "All test images have one label, so there is neither a ROC curve nor precision over "
            "recall: give images of both labels."
        )
    return {"plots": plots, "notes": notes}


def _galleries(gallery: Gallery | None) -> Iterator[dict[str, Any]]:
    mistakes = gallery.mistakes if gallery else ()
    uncertain = gallery.uncertain if gallery else ()
    absent = "This run has kept no pictures."
    yield {
        "anchor": "mistakes",
        "title": "Worst mistakes",
        "faces": [_face(face) for face in mistakes],
        "legend": _LEGEND if any(face.evidence is not None for face in mistakes) else "",
        "note": absent
        if gallery is None
        else "The test images on which the model was surest and wrong. Look at the label first: "
        "it may be the one that is wrong."
        if mistakes
        else "There are none: every test image was told rightly.",
    }
    yield {
        "anchor": "uncertain",
        "title": "Least certain",
        "faces": [_face(face) for face in uncertain],
        "legend": _LEGEND if any(face.evidence is not None for face in uncertain) else "",
        "note": absent
        if gallery is None
        else "The test images whose probability of glasses is nearest to one half, right or wrong.",
    }


_LEGEND: Final = (
    "The picture was blurred in one place after the other; the colour is dense where that changed "
    "the answer most, each picture by its own measure."
)


def _face(face: Face) -> dict[str, Any]:
    height, width = face.picture.shape
    label = "glasses" if face.label == 1 else "no glasses"
    said = "glasses" if face.predicted_label == 1 else "no glasses"
    colours = {"glasses": LIGHT.glasses, "none": LIGHT.none}
    return {
        "path": face.path,
        "name": face.path.rsplit("/", 1)[-1],
        "label": label,
        "glasses": face.label == 1,
        "said": f"Taken for {said}",
        "probability": f"{face.probability:.4f}",
        "percent": round(100 * face.probability, 2),
        "aspect": f"{width} / {height}",
        "alt": f"Face {face.id}: labelled {label}, probability of glasses {face.probability:.4f}",
        "picture": _data_uri(face.picture),
        "overlay": _data_uri(overlay(face.evidence, **colours))
        if face.evidence is not None
        else "",
        "overlay_alt": f"What the answer for face {face.id} rests on: {_strongest(face.evidence)}"
        if face.evidence is not None
        else "",
    }


def _strongest(evidence: npt.NDArray[np.float32]) -> str:
    """Say in words where a map is strongest."""
    height, width = evidence.shape
    y, x = np.unravel_index(int(np.abs(evidence).argmax()), evidence.shape)
    if not evidence[y, x]:
        return "no place in particular"
    down = ("upper", "middle", "lower")[min(2, int(3 * y / height))]
    across = ("left", "centre", "right")[min(2, int(3 * x / width))]
    way = "for" if evidence[y, x] > 0 else "against"
    return f"most on the {down} {across}, which spoke {way} glasses"


def _data_uri(picture: npt.NDArray[np.uint8]) -> str:
    scale = _PICTURE_SIDE / max(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def _images(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    known = [(words, data[name]) for name, words in _DATA.items() if name in data]
    others = [
        (name.replace("_", " "), value)
        for name, value in data.items()
        if name not in _DATA and isinstance(value, int | float)
    ]
    return known + others


def _put_aside_caption(count: int) -> str:
    caption = "Images that were put aside because they cannot be decoded"
    if count <= _MOST_PUT_ASIDE:
        return f"{caption}."
    return f"{caption}: the first {_MOST_PUT_ASIDE} of {count:,}; quarantine.csv has all."


def _time(timings: Mapping[str, float]) -> list[dict[str, Any]]:
    total = timings.get("total_s") or sum(timings.values())
    stages = dict(timings)
    rest = total - sum(value for name, value in timings.items() if name != "total_s")
    rows = [(_STAGES.get(name, name), value) for name, value in stages.items() if name != "total_s"]
    if "total_s" in timings:
        rows += [("all else", max(0.0, rest)), (_STAGES["total_s"], total)]
    return [
        {
            "name": name,
            "seconds": f"{seconds:,.2f}",
            "percent": round(100 * seconds / total, 2) if total else 0,
        }
        for name, seconds in rows
    ]


def _origin(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    environment = metrics["environment"]
    run = [("seed", settings["run"]["seed"])] if "seed" in settings.get("run", {}) else []
    digests = [(f"{name} digest", value) for name, value in metrics.get("digests", {}).items()]
    store = [(f"images {name}", value) for name, value in metrics.get("store", {}).items()]
    machine = [
        (name.replace("_", " "), value)
        for name, value in environment.items()
        if not isinstance(value, Mapping)
    ]
    groups = [("Data and weights", [*run, *digests, *store]), ("Machine", machine)]
    groups += [
        (name.capitalize(), list(value.items()))
        for name, value in environment.items()
        if isinstance(value, Mapping)
    ]
    return [
        {"title": title, "rows": [(name, _text(value)) for name, value in rows]}
        for title, rows in groups
        if rows
    ]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
