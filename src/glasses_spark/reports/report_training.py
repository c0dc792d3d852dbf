"""Report, training: learning curves and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glasses_spark.reports.plots.training import learning_plots, worker_plots


def learning_section(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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


def workers_section(
    history: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> dict[str, Any]:
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
