"""Text of numbers and names in plots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from glasses_spark.notebook_html import number


def count_text(items: Sequence[Any], noun: str) -> str:
    """Return the number of items with a singular or plural noun, such as ``3 epochs``."""
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def number_text(value: float | None) -> str:
    """Format a number as in tables, but None as undefined."""
    return "undefined" if value is None else number(value)


def slug(name: str) -> str:
    """Convert the name of a metric, which comes from the configuration, for ids and file names."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
