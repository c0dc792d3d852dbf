"""Tests for glasses_spark.cli.options."""

from __future__ import annotations

import argparse

import pytest

from glasses_spark.cli.options import whole_number_argument
from glasses_spark.config.fields import whole_number


@pytest.mark.parametrize("text", ["2", "50", "100"])
def test_whole_numbers_in_the_range_are_accepted(text: str) -> None:
    assert whole_number_argument(whole_number(2, 100))(text) == int(text)


def test_a_range_may_have_no_upper_limit() -> None:
    assert whole_number_argument(whole_number(0))("123456789") == 123456789


@pytest.mark.parametrize("text", ["1", "101", "-3", "2.0", "many", ""])
def test_other_values_are_rejected_with_the_range(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a whole number from 2 to 100"):
        whole_number_argument(whole_number(2, 100))(text)
