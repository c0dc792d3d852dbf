"""Errors reference: writes ``docs/errors.md`` from the source and the recorded tests.

python -m pytest --record-errors tests/...
python -m tests.errors_reference
"""

from __future__ import annotations

import inspect
from itertools import groupby
from typing import Final

import glasses_spark.errors
from tests.error_sites import Site, recorded, sites
from tests.paths import ROOT

PAGE: Final = ROOT / "docs" / "errors.md"

_INTRODUCTION: Final = (
    "# Errors\n\n"
    "All errors are classes below `glasses_spark.errors.GlassesSparkError`. On the command line "
    "they are one line on stderr, with exit status 1, or 2 for a wrong option or configuration "
    "key. Each message says what was found, what was wanted and what to do. This page is made "
    "from the source by `python -m tests.errors_reference`; values in a message are "
    "`<expressions>`.\n"
)


def page() -> str:
    """Return the text of the page."""
    raised = recorded()
    parts = [_INTRODUCTION]
    ordered = sorted(sites(), key=lambda site: (site.kind, site.module, site.lines))
    for kind, group in groupby(ordered, key=lambda site: site.kind):
        parts.append(f"## {kind}\n\n{_meaning(kind)}\n")
        rows = [_row(site, raised.get(site.key, "")) for site in group]
        parts.append(
            "\n".join(["| Message | Made in | Test |", "| --- | --- | --- |", *rows]) + "\n"
        )
    return "\n".join(parts)


def _meaning(kind: str) -> str:
    described = getattr(glasses_spark.errors, kind, None)
    if described is None:
        return "A class of one module, below one of the public classes: catch that one."
    return inspect.getdoc(described) or ""


def _row(site: Site, test: str) -> str:
    message = " ".join(site.message.split()).replace("|", "\\|").replace("`", "'")
    name = test.removeprefix("tests/").replace("::", " ")
    return f"| `{message}` | `{site.module}` | {f'`{name}`' if name else '-'} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
