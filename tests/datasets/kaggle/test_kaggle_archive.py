"""Tests for glasses_spark.datasets.kaggle.kaggle_archive, with Kaggle's client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.datasets.kaggle.fetcher import FILES, Fetcher, contents, error_message
from tests.datasets.kaggle.kaggle_server import (
    BY_KEY,
    BY_TOKEN,
    DATASET,
    TOKEN,
    Fault,
    KaggleServer,
)


def test_retries_wait_as_long_as_kaggle_asks(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.api_faults = [Fault(429, {"Retry-After": "7"}), Fault(429)]
    kaggle.storage_faults = [Fault(429, {"Retry-After": "86400"})]

    answer = fetcher(tmp_path / "faces")

    assert answer["pauses"] == [7, 4, 300]
    assert contents(tmp_path / "faces") == FILES


@pytest.mark.parametrize(
    ("environment", "faults", "message"),
    [
        pytest.param(
            {},
            [],
            "Kaggle needs a credential (401), found none: run `kaggle auth login`, or create",
            id="no credential",
        ),
        pytest.param(
            {**BY_KEY, "KAGGLE_KEY": "wrong"},
            [],
            "Kaggle rejects the credential (401): run `kaggle auth login`, or create a token at",
            id="wrong key",
        ),
        pytest.param(
            {"KAGGLE_API_TOKEN": f"{TOKEN}\r\nX: y"},
            [],
            "the Kaggle credential or Kaggle's answer is malformed",
            id="token with a line break",
        ),
        pytest.param(
            BY_KEY, [Fault(403)], "Kaggle denies access (403). Check at https://", id="403"
        ),
        pytest.param(BY_KEY, [Fault(404)], "Kaggle has no such data set (404)", id="404"),
        pytest.param(BY_KEY, [Fault(418)], "Kaggle answers 418", id="anything else"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(
    kaggle: KaggleServer,
    fetcher: Fetcher,
    tmp_path: Path,
    environment: Mapping[str, str],
    faults: list[Fault],
    message: str,
) -> None:
    kaggle.api_faults = faults

    answer = fetcher(tmp_path / "faces", environment)

    assert error_message(answer).startswith(f"{DATASET}: {message}")
    assert answer["pauses"] == []
    assert not (tmp_path / "faces").exists()


def test_a_token_is_accepted_and_a_public_data_set_needs_no_credential(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    assert fetcher(tmp_path / "token", BY_TOKEN)["written"] == 4
    kaggle.wants_credential = False
    assert fetcher(tmp_path / "none", {})["written"] == 4


def test_a_name_that_does_not_exist_is_an_error(fetcher: Fetcher, tmp_path: Path) -> None:
    answer = fetcher(tmp_path / "faces", dataset="nobody/nothing")
    assert "Check at https://www.kaggle.com/datasets/nobody/nothing" in error_message(answer)


@pytest.mark.parametrize("missing", [["kaggle"], ["kaggle", "requests", "six"]])
def test_a_missing_kaggle_package_is_named_with_the_extra(
    tmp_path: Path, missing: list[str]
) -> None:
    script = f"""
import sys
sys.modules.update(dict.fromkeys({missing}))  # as if they were not installed
from pathlib import Path
from glasses_spark.datasets.kaggle.fetch import fetch_dataset
from glasses_spark.errors import SetupError
from glasses_spark.runtime.progress import Progress
try:
    fetch_dataset(
        "owner/name", Path("faces"), archive=Path("none.zip"), counter=Progress().counter
    )
except SetupError as error:
    print(error)
"""

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout == (
        "fetching from Kaggle needs the package kaggle, which is not installed. "
        'Install it: pip install "glasses-spark[kaggle]"\n'
    )
