"""Report, first section: the result in short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from glasses_spark.reports.report_metrics import interval_text, value_text

# Epochs 10, batch 128, 4 workers, asynchronous, on Kaggle's glasses-or-no-glasses.
PUBLISHED: Final = {"accuracy": 0.9969, "log_loss": 0.0108}

# That data set: its images, and those whose label is empty or nan.
_PUBLISHED_IMAGES: Final = 5000
_PUBLISHED_UNDEFINED: Final = 37


def lead_text(test: Mapping[str, Any]) -> str:
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


def summary_text(settings: Mapping[str, Any]) -> str:
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


def cards_html(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    test = metrics["test"]
    for name, words, meaning in (
        ("accuracy", "Test accuracy", "Part of the test images that were judged rightly."),
        ("log_loss", "Test log loss", "In nats an image: 0 is perfect, 0.6931 is guessing."),
        ("roc_auc", "Test area under ROC", "1 ranks all with glasses above all without."),
    ):
        value, interval = test.get(name), interval_text(test, name)
        published = PUBLISHED.get(name)
        yield {
            "name": words,
            "value": value_text(value),
            "range": _range(value, interval, published),
            "interval": f"95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
            "published": value_text(published) if published is not None else "",
            "note": "Undefined: all test images have one label." if value is None else meaning,
        }


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


def comparison_section(data: Mapping[str, Any]) -> str:
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
