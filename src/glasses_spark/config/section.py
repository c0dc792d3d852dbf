"""Section: base class of the configuration's dataclasses, which check their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from glasses_spark.config.toml_text import shown
from glasses_spark.errors import ConfigError


class Section:
    """What all sections share: they refuse bad values at construction, all at once."""

    def __post_init__(self) -> None:
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        kept, problems = check_values(type(self), values)
        refuse(problems)
        for name, value in kept.items():
            object.__setattr__(self, name, value)


def _section_name(cls: type[Section]) -> str:
    return cls.__name__.removesuffix("Config").lower()


def check_values(cls: type[Section], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what to keep of the given values, and what is wrong with the others."""
    keys = {one.name: one.metadata["key"] for one in fields(cls)}  # type: ignore[arg-type]
    section = _section_name(cls)
    kept, problems = {}, []
    for name, value in given.items():
        if name not in keys:
            problems.append(f"{section}.{name}: unknown key{suggest(name, keys)}")
            continue
        try:
            kept[name] = keys[name].kind.parse(value)
        except ValueError:
            problems.append(
                f"{section}.{name}: expected {keys[name].kind.wanted}, got {shown(value)}"
            )
    return kept, problems


def refuse(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise ConfigError(f"configuration: {problems[0]}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"configuration has {len(problems)} errors:{lines}")


def suggest(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}"
