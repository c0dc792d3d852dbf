"""Text of numbers in plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def count_text(items: Sequence[Any], noun: str) -> str:
    """Return the number of items with a singular or plural noun, such as ``3 epochs``."""
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def number_text(value: float | None) -> str:
    """Format a number: four decimals for floats, thousands separated, None as undefined."""
    if value is None:
        return "undefined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
