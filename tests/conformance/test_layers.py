"""Layers and their parts: fits with each of them, compared with plain Keras."""

from __future__ import annotations

from typing import Final

import pytest

from tests.conformance.checks import check_share, shares

PARTS: Final = ("layers", "activations", "initializers", "regularizers", "constraints")


@pytest.mark.parametrize("share", shares())
def test_a_fit_with_a_layer_is_that_of_plain_keras_or_refused(share: int) -> None:
    check_share(share, PARTS)
