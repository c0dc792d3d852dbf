"""Report, origin: images, seconds, versions and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from glasses_spark.reports.report_metrics import value_text

# Longer lists would make the page too large for a browser, and nobody reads them there.
MAX_QUARANTINED: Final = 100

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


def images_table(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    known = [(words, data[name]) for name, words in _DATA.items() if name in data]
    others = [
        (name.replace("_", " "), value)
        for name, value in data.items()
        if name not in _DATA and isinstance(value, int | float)
    ]
    return known + others


def quarantine_caption(count: int) -> str:
    caption = "Images that were put aside because they cannot be decoded"
    if count <= MAX_QUARANTINED:
        return f"{caption}."
    return f"{caption}: the first {MAX_QUARANTINED} of {count:,}; quarantine.csv has all."


def time_table(timings: Mapping[str, float]) -> list[dict[str, Any]]:
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


def origin_section(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
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
        {"title": title, "rows": [(name, value_text(value)) for name, value in rows]}
        for title, rows in groups
        if rows
    ]
