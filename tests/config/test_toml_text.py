"""Tests for glasses_spark.config.toml_text."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.config.toml_text import parse_value, read_toml, toml_text
from glasses_spark.errors import ConfigError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no configuration file .*my\.toml; expected the path of a TOML file"),
        (b"[data\n", r"my\.toml is not a TOML file: .*line 1"),
        (b"\xff\xfe", r"my\.toml is not a TOML file: .*utf-8"),
    ],
)
def test_a_file_that_is_not_toml_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_toml(path)


def test_a_folder_instead_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*: Is a directory"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    ("text", "is_text", "value"),
    [
        ("2020", False, 2020),
        ("2020", True, "2020"),
        ('"2020"', True, "2020"),
        ("hogwild", False, "hogwild"),
        ("[1, 2]", False, [1, 2]),
        ("1\nx = 2", False, "1\nx = 2"),
        ("[" * 5000, False, "[" * 5000),
    ],
)
def test_a_value_is_toml_or_a_bare_word(text: str, is_text: bool, value: object) -> None:
    assert parse_value(text, is_text=is_text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('a "b"\x7f', r'"a \"b\"\u007f"'),
        (True, "true"),
        ([1, "a"], '[1, "a"]'),
        (1e-07, "1e-07"),
    ],
)
def test_values_are_written_as_toml(value: object, text: str) -> None:
    assert toml_text(value) == text
