"""Tests for glasses_spark.config.reference."""

from __future__ import annotations

from glasses_spark.config.config import Config
from glasses_spark.config.reference import reference
from tests.paths import ROOT


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == reference(), (
        "write it again: python -c 'from glasses_spark.config import reference; "
        'print(reference(), end="")\' > docs/configuration.md'
    )


def test_every_key_is_in_the_reference_with_value_default_and_meaning() -> None:
    lines = reference().splitlines()
    for section, values in Config().to_dict().items():
        for name in values:
            rows = [line for line in lines if line.startswith(f"| `{section}.{name}` |")]
            assert len(rows) == 1
            cells = [cell.strip() for cell in rows[0].strip("|").split(" | ")]
            assert len(cells) == 5
            assert all(cells)
