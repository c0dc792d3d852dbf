"""Fixtures of the parameter server's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.training.server.served_fit import ServedFit


@pytest.fixture
def fit() -> Iterator[ServedFit]:
    """An asynchronous fit of two workers, served until the end of the test."""
    served = ServedFit()
    with served.server:
        yield served
