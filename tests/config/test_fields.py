"""Tests for glasses_spark.config.fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.config.fields import (
    Kind,
    flag,
    label_weights,
    matching,
    number,
    one_of,
    spark_settings,
    text,
    texts,
    whole_number,
    whole_number_or,
)
from glasses_spark.errors import ConfigError

FRACTION = number(lambda x: 0 <= x <= 1, "a number from 0 to 1")


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (whole_number(), -3, -3),
        (whole_number(1, 5), 5, 5),
        (whole_number_or("auto", 1), "auto", "auto"),
        (FRACTION, 1, 1.0),
        (text(may_be_empty=True), "", ""),
        (matching("[0-9]+", "digits"), "12", "12"),
        (texts("a list"), ["a", "b"], ("a", "b")),
        (one_of("a", "b"), "b", "b"),
        (flag(), False, False),
        (label_weights(), {1: 2, "0": 0.5}, {"1.0": 2.0, "0.0": 0.5}),
        (spark_settings(), {"spark": {"ui": True}}, {"spark.ui": "true"}),
    ],
)
def test_accepted_values_are_kept_in_one_type(kind: Kind, value: Any, kept: Any) -> None:
    checked = kind.check("key", value)
    assert checked == kept
    assert type(checked) is type(kept)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (whole_number(), 1.0, "a whole number, got 1.0"),
        (whole_number(1), True, "a whole number >= 1, got true"),
        (whole_number(1, 5), 6, "a whole number from 1 to 5, got 6"),
        (whole_number_or("auto", 1), "all", 'a whole number >= 1, or "auto", got "all"'),
        (whole_number_or(0, 2), False, "a whole number >= 2, or 0, got false"),
        (FRACTION, float("inf"), "a number from 0 to 1, got inf"),
        (text(), " ", 'a non-empty string, got " "'),
        (text(), "a\0b", 'a non-empty string, got "a\\u0000b"'),
        (matching("[0-9]+", "digits"), "12a", 'digits, or an empty string, got "12a"'),
        (texts("a list"), [], "a list, got []"),
        (one_of("a", "b"), "c", 'one of "a", "b", got "c"'),
        (flag(), 1, "true or false, got 1"),
        (label_weights(), {1.0: -1}, "a number >= 0 for each label, got {1.0: -1}"),
        (label_weights(), {(1,): 1}, "a number >= 0 for each label, got {(1,): 1}"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    kind: Kind, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.check("key", value)
    assert str(caught.value) == f"key: expected {message}"


def test_numbers_of_numpy_become_numbers_of_python() -> None:
    assert type(whole_number(1).parse(np.int64(3))) is int
    assert type(number(lambda x: x > 0, "a number above 0").parse(np.float32(0.5))) is float
    with pytest.raises(ConfigError, match=r"a whole number >= 1, got 3.0"):
        whole_number(1).check("rows", np.float64(3))
