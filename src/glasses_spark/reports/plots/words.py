"""Words: numbers as the plots show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def count_text(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def shown(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
