"""Tests for glasses_spark.cli.commands.fetch; tests/datasets/kaggle/ has the downloads."""

from __future__ import annotations

import pytest

from glasses_spark.cli.main import main


def test_a_configuration_without_a_data_set_has_nothing_to_fetch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fetch"]) == 2
    assert capsys.readouterr().err == (
        "error: nothing to fetch: expected data.dataset or data.labels_url, got neither. "
        "configs/kaggle.toml has both\n"
    )


@pytest.mark.parametrize("key", ["data.images", "data.labels"])
def test_files_are_fetched_to_this_machine_only(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "--set", "data.dataset=a/b", "--set", f"{key}=hdfs:///x"]) == 2
    assert capsys.readouterr().err.startswith(
        f"error: {key} is hdfs:///x: files are fetched to this machine only; name a local path "
    )
