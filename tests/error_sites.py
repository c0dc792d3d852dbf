"""Error sites: where the library makes its errors, and which test makes each of them.

`python -m pytest --record-errors` notes the first test at each site in ``raised_errors.json``, and
`python -m tests.errors_reference` writes ``docs/errors.md`` from it and from the source.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import glasses_spark.errors
from glasses_spark.errors import GlassesSparkError
from tests.paths import ROOT

SOURCE: Final = ROOT / "src" / "glasses_spark"
RAISED: Final = ROOT / "tests" / "raised_errors.json"

# Longest text of an expression in a message.
_LONGEST: Final = 30


@dataclass(frozen=True)
class Site:
    """A place in the source that makes an error.

    Attributes:
        module: Path below the package, such as ``runs/folder.py``.
        lines: First and last line.
        kind: Class of the error.
        message: Its message, with the values in it as ``<expression>``.
    """

    module: str
    lines: tuple[int, int]
    kind: str
    message: str

    @property
    def key(self) -> str:
        """What identifies the site, also after lines have moved."""
        return f"{self.kind}: {self.message}"


@cache
def sites() -> tuple[Site, ...]:
    """Return all sites, in the order of modules and lines."""
    return tuple(
        site for path in sorted(SOURCE.rglob("*.py")) for site in _sites_of(path, _kinds())
    )


def recorded() -> dict[str, str]:
    """Return the test that made each error, by the key of its site."""
    return dict(json.loads(RAISED.read_text())) if RAISED.exists() else {}


class Recorder:
    """Notes the tests that make errors, while they run in this process."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], str] = {}

    def start(self) -> None:
        """Begin to look at each error that is made."""
        recorder = self

        def noted(self: GlassesSparkError, *arguments: Any) -> None:
            recorder._note()
            Exception.__init__(self, *arguments)

        GlassesSparkError.__init__ = noted  # type: ignore[method-assign, assignment]

    def save(self) -> None:
        """Add what was noted to the file, without those of sites that are gone."""
        raised = recorded()
        by_key = {site.key: site for site in sites()}
        for site in by_key.values():
            first, last = site.lines
            for line in range(first, last + 1):
                if (site.module, line) in self._places:
                    raised[site.key] = self._places[site.module, line]
        kept = {key: raised[key] for key in sorted(raised) if key in by_key}
        # Several test processes may write, one after the other.
        part = RAISED.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(kept, indent=1) + "\n")
        part.replace(RAISED)

    def _note(self) -> None:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].partition("[")[0]
        frame = sys._getframe(2)
        path = Path(frame.f_code.co_filename)
        if test and path.is_relative_to(SOURCE):
            self._places.setdefault((str(path.relative_to(SOURCE)), frame.f_lineno), test)


@cache
def _kinds() -> frozenset[str]:
    """Return the names of the classes of errors, also those that modules define."""
    kinds = {
        name
        for name, value in vars(glasses_spark.errors).items()
        if isinstance(value, type) and issubclass(value, GlassesSparkError)
    }
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ClassDef)
                and {ast.unparse(base) for base in node.bases} & kinds
            ):
                kinds.add(node.name)
    return frozenset(kinds)


def _sites_of(path: Path, kinds: frozenset[str]) -> Iterator[Site]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        kind = ast.unparse(node.func).rpartition(".")[2]
        if kind in kinds:
            lines = (node.lineno, node.end_lineno or node.lineno)
            yield Site(str(path.relative_to(SOURCE)), lines, kind, _text(node.args[0]))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and not _is_sum(node):
        return _text(node.left) + _text(node.right)
    expression = ast.unparse(node)
    return f"<{expression if len(expression) <= _LONGEST else '...'}>"


def _is_sum(node: ast.BinOp) -> bool:
    """Return whether numbers are added, not texts."""
    return any(
        isinstance(side, ast.Constant) and not isinstance(side.value, str)
        for side in (node.left, node.right)
    )
