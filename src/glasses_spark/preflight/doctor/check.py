"""Result of one check, and how results are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
_MARKS: Final = {OK: "ok  ", WARNING: "warn", FAILED: "FAIL"}


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: What was checked, such as ``Java``.
        verdict: ``ok``; ``warning``, if a run can start but may not do what is meant; or
            ``failed``, if a run would fail.
        found: What was found.
        wanted: What a run needs.
        advice: What to do; empty if nothing needs to be done.
    """

    name: str
    verdict: str
    found: str
    wanted: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether a run can start: the verdict is not ``failed``."""
        return self.verdict != FAILED


def pass_or_fail(name: str, passed: bool, found: str, wanted: str, advice: str) -> Check:
    """Make a check that is ``ok`` or ``failed``.

    Args:
        name: What was checked.
        passed: Whether it is ``ok``.
        found: What was found.
        wanted: What a run needs.
        advice: What to do after a failure; dropped if the check passed.
    """
    return Check(name, OK if passed else FAILED, found, wanted, "" if passed else advice)


def render(checks: Sequence[Check]) -> str:
    """Format checks as text: one line each, with the advice on the next line.

    Args:
        checks: At least one.

    Returns:
        Lines without a final line break. The last line is a summary.
    """
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        line = f"{_MARKS[check.verdict]}  {check.name:<{width}}  {check.found}"
        lines.append(line if check.verdict == OK else f"{line}; expected {check.wanted}")
        if check.advice:
            lines.append(f"      {'':<{width}}  {check.advice}")
    return "\n".join([*lines, _summarize(checks)])


def as_dict(checks: Sequence[Check]) -> dict[str, Any]:
    """Convert checks for JSON.

    Returns:
        ``ok``, whether a run can start, and ``checks``, a list of their attributes.
    """
    return {
        "ok": all(check.ok for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def _summarize(checks: Sequence[Check]) -> str:
    failed = sum(check.verdict == FAILED for check in checks)
    if failed:
        return f"{failed} of {len(checks)} checks failed."
    warned = sum(check.verdict == WARNING for check in checks)
    if warned:
        return f"A run can start; {warned} of {len(checks)} checks have a warning."
    return "All checks passed: a run can start."
