"""Check: one thing that was looked at, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
_MARKS: Final = {OK: "ok  ", WARNING: "warn", FAILED: "FAIL"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is, such as ``Java``.
        verdict: ``ok``; ``warning``, where a run works, and perhaps not as meant; or
            ``failed``, where a run would fail.
        found: What is there.
        wanted: What a run needs.
        advice: What to do about it; empty where it is fine.
    """

    name: str
    verdict: str
    found: str
    wanted: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether a run can do with it."""
        return self.verdict != FAILED


def judged(name: str, passed: bool, found: str, wanted: str, advice: str) -> Check:
    """Make a check that passes or fails; the advice is only for those that fail."""
    return Check(name, OK if passed else FAILED, found, wanted, "" if passed else advice)


def render(checks: Iterable[Check]) -> str:
    """Write checks as text, a line each, with what to do below those that are not well.

    Args:
        checks: Those that were made, at least one.

    Returns:
        Lines without a final line break; the last one sums up.
    """
    checks = list(checks)
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        line = f"{_MARKS[check.verdict]}  {check.name:<{width}}  {check.found}"
        lines.append(line if check.verdict == OK else f"{line}; wanted {check.wanted}")
        if check.advice:
            lines.append(f"      {'':<{width}}  {check.advice}")
    return "\n".join([*lines, _sum(checks)])


def as_dict(checks: Sequence[Check]) -> dict[str, Any]:
    """Give checks for JSON.

    Returns:
        ``ok``, whether a run can start, and ``checks``, a list of their attributes.
    """
    return {
        "ok": all(check.ok for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def _sum(checks: Sequence[Check]) -> str:
    failed = sum(check.verdict == FAILED for check in checks)
    if failed:
        return f"{failed} of {len(checks)} checks failed."
    warned = sum(check.verdict == WARNING for check in checks)
    if warned:
        return f"A run can start; {warned} of {len(checks)} checks have a warning."
    return "All is well: a run can start."
