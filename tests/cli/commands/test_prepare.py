"""Tests for glasses_spark.cli.commands.prepare."""

from __future__ import annotations

import pytest

from glasses_spark.cli.main import main
from tests.cli.calls import SMALL, Trained, metrics_of, train_in


@pytest.mark.slow
def test_prepare_finds_the_images_that_train_decoded(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    used = metrics_of(trained.run)["data"]["used"]
    assert metrics_of(trained.run)["store"] == {"decoded": used, "reused": 0}
    assert main(["prepare", *train_in(trained.folder, *SMALL)[1:]]) == 0
    line = f"{trained.folder / 'pixels'}: {used} images, 0 decoded now, {used} before\n"
    assert capsys.readouterr().out == line
