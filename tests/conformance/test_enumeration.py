"""Enumeration: every public name and argument of the installed Keras has a case."""

from __future__ import annotations

import pytest

from tests.conformance.cases import PARTS, enumerate_cases, public_names
from tests.conformance.checks import problem_of
from tests.conformance.compare import (
    DIFFERS,
    IS_CLOSE,
    IS_EXACT,
    IS_REFUSED,
    Verdict,
    flat,
)
from tests.conformance.values import NO_CASE


@pytest.mark.slow  # imports TensorFlow
@pytest.mark.parametrize("part", PARTS)
def test_every_public_name_has_a_case_or_a_reason_for_none(part: str) -> None:
    # Raises an error that names the arguments without a second value.
    names = {case.name for case in enumerate_cases(part)}

    left_out = {name.partition(".")[2] for name in NO_CASE if name.startswith(f"{part}.")}
    assert set(public_names(part)) - left_out == names


@pytest.mark.parametrize(
    ("verdict", "page", "says"),
    [
        pytest.param(Verdict(IS_EXACT), IS_EXACT, "", id="as recorded"),
        pytest.param(Verdict(IS_CLOSE), IS_EXACT, "", id="rounding of another machine"),
        pytest.param(Verdict(DIFFERS, "weights 0.4"), DIFFERS, "weights 0.4", id="differs"),
        pytest.param(Verdict(IS_REFUSED), IS_EXACT, "the page says exact", id="newly refused"),
        pytest.param(Verdict(IS_EXACT), None, "the page says None", id="not on the page"),
    ],
)
def test_a_verdict_is_checked_against_the_page(
    verdict: Verdict, page: str | None, says: str
) -> None:
    problem = problem_of("a", verdict, page)

    assert says in problem
    assert bool(problem) == bool(says)


def test_a_metric_with_several_numbers_has_one_key_for_each_and_one_for_the_mean() -> None:
    assert flat({"loss": 0.5, "f1": [0.25, 0.75]}) == {
        "loss": 0.5,
        "f1": 0.5,
        "f1_0": 0.25,
        "f1_1": 0.75,
    }
