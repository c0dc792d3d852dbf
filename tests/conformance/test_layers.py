"""Conformance of layers, activations, initializers, regularizers and constraints."""

from __future__ import annotations

import pytest

from tests.conformance.checks import check_share, shares


@pytest.mark.parametrize("share", shares())
def test_layers_train_as_in_plain_keras_or_are_refused(share: int) -> None:
    parts = ["layers", "activations", "initializers", "regularizers", "constraints"]
    check_share(share, parts)
