"""Fit: the estimator of a configuration, with its class weights and callbacks."""

from __future__ import annotations

from typing import Any


def summary_text(network: Any) -> str:
    lines: list[str] = []
    network.summary(print_fn=lines.append, line_length=80)
    return "\n".join(lines)
