"""Result section of the report: lead sentence, metric cards and the published result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from glasses_spark.columns import TEST
from glasses_spark.notebook_html import number
from glasses_spark.reports.report_metrics import interval_bounds

# 10 epochs, batch size 128, 4 workers, asynchronous, on Kaggle's glasses-or-no-glasses.
PUBLISHED: Final = {"accuracy": 0.9969, "log_loss": 0.0108}

# Images of that data set, and those whose label is empty or nan.
_PUBLISHED_IMAGES: Final = 5000
_PUBLISHED_UNDEFINED: Final = 37

# Name in metrics.json, title and explanation of each card.
_CARDS: Final = (
    ("accuracy", "Test accuracy", "Fraction of the test images that are classified correctly."),
    ("log_loss", "Test log loss", "In nats per image. 0 is perfect, 0.6931 is guessing."),
    ("roc_auc", "Test ROC AUC", "Probability that a positive ranks above a negative."),
)


def lead_text(test: Mapping[str, Any]) -> str:
    """Return the first sentence of the report, from the metrics of the test set."""
    rows, correct = test["rows"], round(test["rows"] * test["accuracy"])
    sentence = f"{correct:,} of {rows:,} test images are classified correctly"
    if "fn" not in test or "fp" not in test:
        return f"{sentence}."
    false_positives = _count_text(test["fp"], "false positive")
    return f"{sentence}: {false_positives} and {_count_text(test['fn'], 'false negative')}."


def _count_text(count: int, noun: str) -> str:
    number = f"{count:,}" if count else "no"
    return f"{number} {noun}{'' if count == 1 else 's'}"


def summary_text(settings: Mapping[str, Any]) -> str:
    """Return the main training settings in one line, from the parsed configuration."""
    training, run = settings.get("training", {}), settings.get("run", {})
    parts = [
        f"{training['epochs']} epochs" if "epochs" in training else "",
        f"batch size {training['batch_size']}" if "batch_size" in training else "",
        f"{training['mode']} mode" if "mode" in training else "",
        f"updates per {training['frequency']}" if "frequency" in training else "",
        f"seed {run['seed']}" if "seed" in run else "",
    ]
    return ", ".join(part for part in parts if part)


def metric_cards(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the main metrics of the test set, each with its interval and published value.

    Args:
        metrics: Contents of ``metrics.json``.

    Yields:
        ``name``, ``value``, ``range`` (positions on a scale, or None), ``interval``,
        ``published`` and ``note``, as strings for the template.
    """
    test = metrics[TEST]
    for name, title, explanation in _CARDS:
        value, interval = test.get(name), interval_bounds(test, name)
        published = PUBLISHED.get(name)
        undefined = "Undefined: all test images have the same label."
        yield {
            "name": title,
            "value": number(value),
            "range": _range(value, interval, published),
            "interval": f"95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
            "published": number(published) if published is not None else "",
            "note": undefined if value is None else explanation,
        }


def _range(
    value: float | None, interval: tuple[float, float] | None, published: float | None
) -> dict[str, float | None] | None:
    """Return positions on a scale, in per cent of its length, that contains all the values."""
    if value is None or (interval is None and published is None):
        return None
    values: list[float] = [value, *(interval or ())]
    if published is not None:
        values.append(published)
    margin = (max(values) - min(values)) * 0.15 or 0.01
    start, length = min(values) - margin, max(values) - min(values) + 2 * margin

    def position(metric: float) -> float:
        return float(round(100 * (metric - start) / length, 2))

    return {
        "value": position(value),
        "left": position(interval[0]) if interval else None,
        "width": round(position(interval[1]) - position(interval[0]), 2) if interval else None,
        "published": position(published) if published is not None else None,
    }


def comparison_text(data: Mapping[str, Any]) -> str:
    """Return a sentence that says whether the published result is comparable.

    Args:
        data: Counts of images, as in ``metrics.json``.
    """
    published = (
        "The published accuracy of {accuracy} and log loss of {log_loss} are for 10 epochs on "
        "Kaggle's glasses-or-no-glasses data set"
    ).format(**PUBLISHED)
    counts = (data.get("images"), data.get("undefined_label"))
    if counts == (_PUBLISHED_IMAGES, _PUBLISHED_UNDEFINED):
        return f"{published}; this run has the same number of images and of undefined labels."
    return (
        f"{published} ({_PUBLISHED_IMAGES:,} generated faces). This run uses other images, so the "
        "values are not directly comparable."
    )
