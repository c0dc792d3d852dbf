"""Section: base class of the settings' dataclasses, which check their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from glasses_spark.config.fields import Key
from glasses_spark.errors import ConfigError


class Section:
    """Base class of dataclasses of settings.

    At construction each value is checked by the kind of its field; the error lists
    all values that are wrong.
    """

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        accepted, problems = check_values(type(self), values)
        refuse(problems)
        for name, value in accepted.items():
            object.__setattr__(self, name, value)


def declared_keys(cls: type[Section]) -> dict[str, Key]:
    """Return the keys that a section declares, by name."""
    return {item.name: item.metadata["key"] for item in fields(cls)}  # type: ignore[arg-type]


def check_values(cls: type[Section], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Check values by the fields of a section.

    Args:
        cls: Section.
        values: Values by the name of the key.

    Returns:
        The accepted values, as the section keeps them, and a message for each of
        the others.
    """
    keys = declared_keys(cls)
    prefix = _prefix_of(cls)
    accepted, problems = {}, []
    for name, value in values.items():
        if name not in keys:
            problems.append(f"{prefix}{name}: unknown key{suggest(name, keys)}")
            continue
        try:
            accepted[name] = keys[name].kind.check(f"{prefix}{name}", value)
        except ConfigError as error:
            problems.append(str(error))
    return accepted, problems


def refuse(problems: Sequence[str]) -> None:
    """Raise one ConfigError for all problems; return where there are none."""
    if len(problems) == 1:
        raise ConfigError(f"configuration: {problems[0]}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"configuration has {len(problems)} errors:{lines}")


def suggest(name: str, known: Mapping[str, Any]) -> str:
    """Return the end of a message on an unknown name: the closest known name, or all."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}"


def _prefix_of(cls: type[Section]) -> str:
    """Return ``training.`` for ``TrainingConfig``, and nothing for what is no TOML section."""
    name = cls.__name__
    return f"{name.removesuffix('Config').lower()}." if name.endswith("Config") else ""
