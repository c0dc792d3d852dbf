"""Conformance of losses, metrics, optimizers, schedules, callbacks and options of compile."""

from __future__ import annotations

import pytest

from tests.conformance.checks import check_share, shares


@pytest.mark.parametrize("share", shares())
def test_losses_metrics_and_optimizers_train_as_in_plain_keras_or_are_refused(share: int) -> None:
    parts = ["losses", "metrics", "optimizers", "schedules", "callbacks", "compile"]
    check_share(share, parts)
