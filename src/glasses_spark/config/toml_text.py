"""TOML: reading files and writing values."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glasses_spark.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"no configuration file {path}; expected the path of a TOML file"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def parse_value(value: str, *, is_text: bool) -> Any:
    try:
        document = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return value
    parsed = document["value"]
    if len(document) > 1 or (is_text and not isinstance(parsed, str)):
        return value
    return parsed


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def toml_text(value: Any) -> str:
    if isinstance(value, str):
        # A JSON text is a TOML text, but for the one control character that JSON leaves bare.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(toml_text(one) for one in value)}]"
    if isinstance(value, dict):
        return "{}"
    return repr(value)


def shown(value: Any) -> str:
    """Return a value as it would stand in a TOML file, or as Python shows it."""
    return toml_text(value) if isinstance(value, str | bool | int | float | list) else repr(value)
