"""Run: the verdict on each case of some groups."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.conformance.cases import PARTS, Case, enumerate_cases
from tests.conformance.compare import (
    GOOD,
    IS_RANDOM,
    Difference,
    Scene,
    Verdict,
    compare,
    draws_unseeded_numbers,
)
from tests.conformance.scenarios import group_of, make_metric, scenario

# Cases of a group train in one model. Those of `alone` would spoil it, and have their own.
Group = tuple[Case, ...]
NO_CASES: Final[frozenset[str]] = frozenset()
# The time of a model grows faster than its size.
LARGEST: Final = 24


def groups_of(cases: Iterable[Case], alone: Collection[str] = NO_CASES) -> list[Group]:
    """Return cases that can train in one model together.

    Args:
        cases: The cases.
        alone: Ids of cases that get a model of their own.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.id if case.id in alone else group_of(case), []).append(case)
    return [part for group in groups.values() for part in _parts(group)]


def _parts(group: Sequence[Case]) -> Iterator[Group]:
    for start in range(0, len(group), LARGEST):
        yield tuple(group[start : start + LARGEST])


def all_groups(alone: Collection[str] = NO_CASES) -> list[Group]:
    """Return the groups of all parts."""
    return [group for part in PARTS for group in groups_of(enumerate_cases(part), alone)]


def share_of(group: Group, shares: int) -> int:
    """Return the share that runs a group, from 0; the same for all cases of one name."""
    return zlib.crc32(f"{group[0].part}.{group[0].name}".encode()) % shares


def judge(group: Group, *, traced: bool = False) -> dict[str, Verdict]:
    """Return the verdict on each case of a group, by its id; see `compare`."""
    result = compare(scenario(group), traced=traced)
    if isinstance(result, Difference):
        verdicts = _of_each(group, result)
        # Metrics do not change one another, other cases do.
        if group[0].part == "metrics" or all(v.kind in GOOD for v in verdicts.values()):
            return verdicts
        if group[0].part == "layers" and draws_unseeded_numbers(scenario(group)):
            random = Verdict(IS_RANDOM, "draws from Python's global generator, as in plain Keras")
            return {case.id: random for case in group}
    if len(group) == 1:
        [case] = group
        return {case.id: result if isinstance(result, Verdict) else verdicts[case.id]}
    # Some of them spoil the model: find them by halves.
    middle = len(group) // 2
    return {**judge(group[:middle], traced=traced), **judge(group[middle:], traced=traced)}


def _of_each(group: Sequence[Case], difference: Difference) -> dict[str, Verdict]:
    if group[0].part != "metrics":
        return {case.id: difference.verdict() for case in group}
    return {case.id: _of_metric(case, difference) for case in group}


def _of_metric(case: Case, difference: Difference) -> Verdict:
    import keras

    keras.backend.clear_session(free_memory=False)
    with tempfile.TemporaryDirectory() as folder:
        metric = make_metric(case, Scene(str(Path(folder))))
    name = metric if isinstance(metric, str) else getattr(metric, "name", None) or metric.__name__
    return difference.verdict(lambda key: key == name or key.removeprefix(f"{name}_").isdigit())
