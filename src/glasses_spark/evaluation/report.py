"""Report: what a run has brought, as one page that needs nothing else to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
.verdict { font-size: 1.3rem; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid var(--line); }
"""

# From the names of metrics.json to words.
_METRICS = {
    "rows": "images",
    "accuracy": "accuracy",
    "log_loss": "log loss, nats an image",
    "stable_log_loss": "log loss from logits",
    "roc_auc": "area under the ROC curve",
    "tp": "glasses, found",
    "fn": "glasses, missed",
    "fp": "no glasses, taken for some",
    "tn": "no glasses, seen as such",
}


def render_report(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    quarantine: Sequence[tuple[str, str]],
    config: str,
) -> str:
    """Make the page.

    Args:
        metrics: What ``metrics.json`` holds.
        history: What ``history.json`` holds.
        quarantine: Path of each image that was put aside, and why.
        config: The configuration as TOML.

    Returns:
        HTML that loads nothing and runs no script. Whatever comes from outside,
        such as a file's name, is shown as text.
    """
    train, test = metrics["train"], metrics["test"]
    names = [name for name in history[0] if name not in ("epoch", "workers")] if history else []
    sections = [
        "<h1>Glasses or no glasses</h1>",
        f'<p class="verdict">Test accuracy {_text(test["accuracy"])} and log loss '
        f"{_text(test['log_loss'])} on {_text(test['rows'])} images that were held back.</p>",
        "<h2>Metrics</h2>",
        _table(
            ["", "train", "test"],
            ([words, train.get(name), test.get(name)] for name, words in _METRICS.items()),
        ),
        "<h2>Epochs</h2>",
        _table(
            ["epoch", *names], ([one["epoch"], *(one.get(n) for n in names)] for one in history)
        ),
        "<h2>Images</h2>",
        _table(["", "images"], metrics["data"].items()),
        "<h2>Put aside</h2>",
        _table(["image", "reason"], quarantine) if quarantine else "<p>None.</p>",
        "<h2>Seconds</h2>",
        _table(["", "seconds"], metrics["timings"].items()),
        "<h2>Configuration</h2>",
        f"<pre>{escape(config)}</pre>",
        "<h2>Environment</h2>",
        _table(["", ""], _flat(metrics["environment"])),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Glasses or no glasses: a run</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(sections)}\n</main>\n</body>\n</html>\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(_text(value))}</td>' for value in row)}</tr>\n" for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{columns}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>"
    )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _flat(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value) if isinstance(value, Mapping) else [(name, value)]
    return found
