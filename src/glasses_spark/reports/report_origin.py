"""Provenance sections of the report: image counts, run time, versions and digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from glasses_spark.notebook_html import number

# A longer list would make the page slow; quarantine.csv has all.
MAX_QUARANTINED: Final = 100

# Names in metrics.json and their titles.
_DATA: Final = {
    "images": "found",
    "used": "used in the training, validation and test sets",
    "train": "in the training set",
    "validation": "in the validation set",
    "test": "in the test set",
    "undefined_label": "excluded: the label is empty or nan",
    "unlabelled": "excluded: no label for the number in the file name",
    "quarantined": "quarantined: cannot be read or decoded",
    "beyond_limit": "excluded: beyond data.limit",
    "label_without_image": "labels without an image",
}

_STAGES: Final = {
    "preprocess_s": "listing and decoding",
    "fit_s": "training",
    "score_s": "scoring and evaluation",
}


def images_table(data: Mapping[str, Any], quarantine: Mapping[str, int]) -> list[tuple[str, Any]]:
    """Return the title and number of each count of images, and of each reason of quarantine."""
    titled = [(title, data[name]) for name, title in _DATA.items() if name in data]
    untitled = [
        (name.replace("_", " "), value)
        for name, value in data.items()
        if name not in _DATA and isinstance(value, int | float)
    ]
    reasons = [(f"quarantined: {code.replace('_', ' ')}", n) for code, n in quarantine.items()]
    return titled + untitled + reasons


def quarantine_caption(count: int) -> str:
    """Return the caption of the list of quarantined images, given their number."""
    if count <= MAX_QUARANTINED:
        return "Quarantined images."
    return (
        f"Quarantined images: the first {MAX_QUARANTINED} of {count:,}; quarantine.csv lists all."
    )


def time_table(timings: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return name, seconds and percentage of each stage, the rest, and the total."""
    stages = {name: seconds for name, seconds in timings.items() if name != "total_s"}
    total = timings.get("total_s") or sum(stages.values())
    rows = [(_STAGES.get(name, name), seconds) for name, seconds in stages.items()]
    if "total_s" in timings:
        rows += [("other", max(0.0, total - sum(stages.values()))), ("total", total)]
    return [
        {
            "name": name,
            "seconds": f"{seconds:,.2f}",
            "percent": round(100 * seconds / total, 2) if total else 0,
        }
        for name, seconds in rows
    ]


def origin_section(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return groups of names and values that identify the inputs and the environment.

    Args:
        metrics: Contents of ``metrics.json``.
        settings: The parsed configuration.
    """
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
        {"title": title, "rows": [(name, number(value)) for name, value in rows]}
        for title, rows in groups
        if rows
    ]
