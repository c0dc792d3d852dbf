"""TOML: reading files, parsing and writing values."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from glasses_spark.errors import ConfigError

# A configuration has a few kilobytes. Parsing takes a second for each megabyte.
MAX_BYTES: Final = 2**20

# Brackets within brackets. The parser calls itself for each level, and at the end of Python's
# stack finalizers of other objects fail as well, so it is not left to find out.
MAX_BRACKETS: Final = 100


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: The file cannot be read, is too large or is not TOML.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(
                f"{path} is not a configuration: expected at most {MAX_BYTES:,} bytes, found "
                f"{size:,}"
            )
        text = path.read_text(encoding="utf-8")
        if _open_brackets(text) > MAX_BRACKETS:
            raise ConfigError(f"{path} is not a configuration: nested too deeply")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(
            f"no configuration file {path}; expected the path of a TOML file"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except ValueError as error:  # of TOML, of UTF-8 and of a number with too many digits
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def _open_brackets(text: str) -> int:
    """Return an upper bound on the nesting: brackets in strings and comments count as well."""
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[][{}]", text))
    return max(accumulate(steps), default=0)


def parse_value(value: str, *, is_text: bool) -> Any:
    """Parse one value of the command line.

    Args:
        value: TOML, or a bare word.
        is_text: Whether a string is wanted, so that ``2020`` is not a number.

    Returns:
        The value; anything that is not TOML, or nested deeply, is returned as a string.
    """
    if _open_brackets(value) > MAX_BRACKETS:
        return value
    try:
        document = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return value
    parsed = document["value"]
    if len(document) > 1 or (is_text and not isinstance(parsed, str)):
        return value
    return parsed


def plain(value: Any) -> Any:
    """Return a setting's value in the types that TOML reads: lists and dictionaries."""
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def toml_text(value: Any) -> str:
    """Return a value as TOML; an inner table is written by the caller."""
    if isinstance(value, str):
        # A JSON string is a TOML string, except for one control character that JSON
        # does not escape.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(toml_text(item) for item in value)}]"
    if isinstance(value, dict):
        return "{}"
    return repr(value)


def shown(value: Any) -> str:
    """Return a value for a message: as in a TOML file, or as Python shows it."""
    return toml_text(value) if isinstance(value, str | bool | int | float | list) else repr(value)
