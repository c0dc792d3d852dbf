"""Training sections of the report: learning curves and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glasses_spark.reports.plots.training import learning_plots, worker_plots


def learning_section(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return learning curves, notes and the table of epochs.

    Args:
        history: Contents of ``history.json``.
    """
    notes = []
    if not history:
        notes.append("The model was not trained in this run, so there are no epochs.")
    elif not any(name.startswith("val_") for name in history[0]):
        notes.append(
            "This run has no validation set. Set split.validation, for example to 0.1, to compare "
            "the training loss with the validation loss."
        )
    names = [name for name in history[0] if name not in ("epoch", "workers")] if history else []
    return {
        "plots": learning_plots(history),
        "notes": notes,
        "head": ["epoch", *(name.replace("_", " ") for name in names)],
        "rows": [(record["epoch"], *(record.get(name) for name in names)) for record in history],
    }


def workers_section(
    history: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return plots, notes and the table of workers.

    Args:
        history: Contents of ``history.json``.
        settings: The parsed configuration.
    """
    plots = worker_plots(history)
    shares: dict[int, list[Mapping[str, Any]]] = {}
    for record in history:
        for share in record.get("workers", ()):
            shares.setdefault(share["worker"], []).append(share)
    return {
        "plots": plots,
        "notes": [
            "The seconds of a worker include the time it waits for the parameter server.",
            _staleness_note(
                is_stale=any(plot.name == "workers-staleness" for plot in plots),
                mode=settings.get("training", {}).get("mode", ""),
            ),
        ]
        if plots
        else ["The history has no data on workers."],
        "head": ["worker", "rows", "seconds", "waiting seconds", "mean staleness"],
        "rows": [
            (
                worker,
                int(_total(records, "rows")),
                _total(records, "seconds"),
                _total(records, "waiting_seconds"),
                _total(records, "staleness") / len(records),
            )
            for worker, records in sorted(shares.items())
        ],
    }


def _staleness_note(*, is_stale: bool, mode: str) -> str:
    if is_stale:
        return (
            "Staleness is the mean number of steps that the shared weights took between a worker's "
            "pull and its push."
        )
    if mode == "synchronous":
        return "The staleness is 0: in synchronous mode each update waits for all workers."
    return (
        "The staleness is 0: the shared weights took no step between a worker's pull and its push."
    )


def _total(records: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(sum(record.get(name, 0) for record in records))
