"""Credentials: what must not leave the machine with the record of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

REDACTED: Final = "(redacted)"

# Names of settings whose values Spark itself does not show: `spark.redaction.regex`.
_SECRET_NAME: Final = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)

# The user and the password of a URI, from behind its scheme to the last @ before its path.
_USERINFO: Final = re.compile(r"(?<=://)[^/\s?#\"'<>]*@")


def is_secret(name: str) -> bool:
    """Return whether the value of a setting of this name is one, by Spark's own rule."""
    return _SECRET_NAME.search(name) is not None


def secrets_in(config: Mapping[str, Any]) -> set[str]:
    """Return the values that are secrets, of a configuration with keys such as ``run.dir``."""
    return {str(value) for name, value in config.items() if is_secret(name)} - {"", "true", "false"}


def holds_password(location: str) -> bool:
    """Return whether a URI has a user or a password in it."""
    return _USERINFO.search(location) is not None


def without_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without users and passwords in URIs, and without secrets.

    Args:
        text: Plain text, TOML, JSON or HTML.
        secrets: Values to take out wherever they stand, also where the format of the text
            spells them in its own way.
    """
    text = _USERINFO.sub("", text)
    # Longest first: one may hold another.
    for secret in sorted(secrets, key=len, reverse=True):
        quoted = json.dumps(secret, ensure_ascii=False)[1:-1]
        for spelling in (secret, quoted, escape(secret), escape(quoted)):
            text = text.replace(spelling, REDACTED)
    return text
