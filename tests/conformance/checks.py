"""Checks: the cases of one share, against the committed page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest

from tests.conformance.compare import GOOD, IS_CLOSE, IS_EXACT, Verdict
from tests.conformance.run import all_groups, judge, share_of
from tests.conformance.table import recorded, spoilers
from tests.rotation import part

# Shares of the cases. Each is one test.
SHARES: Final = 24

# Parts of the shares, of which a commit runs one: half as much as of other rotated tests, because
# a share takes most of a minute.
PARTS: Final = 12


def shares() -> list[Any]:
    """Return the shares as parameters; ``exhaustive`` leaves out those of other commits."""
    return [
        pytest.param(
            number,
            marks=[
                pytest.mark.slow,
                # A share takes minutes on a slow machine.
                pytest.mark.timeout(900),
                *([] if number % PARTS == part(PARTS) else [pytest.mark.exhaustive]),
            ],
        )
        for number in range(SHARES)
    ]


def check_share(number: int, parts: Sequence[str]) -> None:
    """Run the cases of a share, and compare the verdicts with the recorded ones."""
    groups = [
        group
        for group in all_groups(spoilers())
        if group[0].part in parts and share_of(group, SHARES) == number
    ]
    page = recorded()
    problems = [
        problem
        for group in groups
        for case, verdict in judge(group).items()
        if (problem := problem_of(case, verdict, page.get(case)))
    ]
    assert not problems, "\n".join(problems)


def problem_of(case: str, verdict: Verdict, page: str | None) -> str:
    """Return what is wrong with a verdict; empty if nothing is."""
    text = f"{case}: {verdict.kind} {verdict.detail}"
    if verdict.kind not in GOOD:
        return text
    # Rounding depends on the machine.
    if verdict.kind == page or {verdict.kind, page} <= {IS_EXACT, IS_CLOSE}:
        return ""
    return f"{text}, the page says {page}. Run python -m tests.conformance.table"
