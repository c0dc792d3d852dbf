"""History list: the history of a fit, shown with curves in a notebook."""

from __future__ import annotations

from typing import Any

from glasses_spark.notebook_html import cell, epochs_table, folded, learning_charts


class HistoryList(list[dict[str, Any]]):
    """List of one dictionary per epoch, as in ``history.json``."""

    def _repr_html_(self) -> str:
        count = f"{len(self)} epoch{'' if len(self) == 1 else 's'}"
        return cell(count, learning_charts(self), folded("Epoch by epoch", epochs_table(self)))
