"""Summary: metrics as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def line(name: str, values: Iterable[str]) -> str:
    """Return a line of a table: a title and one value per column."""
    return f"{name:<18}" + "".join(f"{value:>15}" for value in values)


def number_text(value: float | int | None) -> str:
    """Return a number with 4 decimals or as a whole number; ``-`` if undefined."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def metric_lines(metrics: Mapping[str, float | int | None]) -> str:
    """Return one line per metric."""
    return "\n".join(
        line(name.replace("_", " "), [number_text(value)]) for name, value in metrics.items()
    )
