"""Messages of wrong settings, for the tests of the configuration."""

from __future__ import annotations

import pytest

from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError


def message_of(override: str) -> str:
    """Return the message with which an override ``section.key=value`` is refused."""
    with pytest.raises(ConfigError) as caught:
        Config.load(overrides=[override])
    return str(caught.value)
