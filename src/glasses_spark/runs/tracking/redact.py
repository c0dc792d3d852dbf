"""Redaction of credentials in what is sent to tracking tools."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from glasses_spark.notebook_html import is_secret

REDACTED: Final = "(redacted)"

# User and password of a URI, from the end of its scheme to the last @ before its path.
_USERINFO: Final = re.compile(r"(?<=://)[^/\s?#\"'<>]*@")


def secrets_in(config: Mapping[str, Any]) -> set[str]:
    """Return the secret values of a configuration with keys such as ``run.dir``."""
    return {str(value) for name, value in config.items() if is_secret(name)} - {"", "true", "false"}


def holds_password(location: str) -> bool:
    """Return whether a URI contains a user or a password."""
    return _USERINFO.search(location) is not None


def without_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """Remove users and passwords in URIs, and secrets, from a text.

    Args:
        text: Plain text, TOML, JSON or HTML.
        secrets: Values to redact, also in their escaped spelling.
    """
    text = _USERINFO.sub("", text)
    # Longest first, because a secret may contain another.
    for secret in sorted(secrets, key=len, reverse=True):
        quoted = json.dumps(secret, ensure_ascii=False)[1:-1]
        for spelling in (secret, quoted, escape(secret), escape(quoted)):
            text = text.replace(spelling, REDACTED)
    return text
