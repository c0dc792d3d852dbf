"""Configuration of a command: the TOML file and the options that override its keys."""

from __future__ import annotations

from argparse import Namespace
from urllib.parse import urlsplit

from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError


def load_config(arguments: Namespace) -> Config:
    """Return the configuration that ``--config`` and ``--set`` name.

    Raises:
        ConfigError: The file is missing, or a key or value is wrong.
    """
    return Config.load(arguments.config, overrides_of(arguments))


def overrides_of(arguments: Namespace) -> list[str]:
    """Return the overrides ``section.key=value`` of all options of a command."""
    # Only some commands have these options.
    no_store = ["store.dir="] if getattr(arguments, "no_store", False) else []
    plots = ["run.plots=true"] if getattr(arguments, "plots", False) else []
    resume = ["run.resume=true"] if getattr(arguments, "resume", False) else []
    return [*arguments.set, *no_store, *plots, *resume]


def require_local_path(location: str, key: str, *, reason: str, option: str) -> str:
    """Return the path of a location on this machine.

    Args:
        location: Path or URI.
        key: Key of the configuration that has the location.
        reason: Why it must be on this machine.
        option: Option of the command that names another location.

    Raises:
        ConfigError: The location is a URI of another machine.
    """
    parts = urlsplit(location)
    if parts.scheme == "file":
        return parts.path
    if parts.scheme:
        raise ConfigError(f"{key} is {location}: {reason}; name a local path with {option}")
    return location
