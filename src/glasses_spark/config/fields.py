"""Keys: what one configuration key may hold, checked and described from one place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

# The value that leaves the choice to the library.
AUTO: Final = "auto"

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        wanted: What is accepted; completes the sentence "expected ...".
        parse: Turns an accepted value into the one that is kept (``1`` into
            ``1.0`` for a fraction). Raises ValueError for any other value.
        is_text: True where a value from the command line is kept letter by
            letter (``data.images=2020`` names a folder, not a number).
    """

    wanted: str
    parse: Callable[[object], object]
    is_text: bool = False


@dataclass(frozen=True)
class Key:
    """One key of the configuration: its kind, and its entry in the reference."""

    kind: Kind
    meaning: str
    unit: str


def key(default: T, kind: Kind, meaning: str, *, unit: str = "") -> T:
    """Declare a key as a field of a dataclass.

    Args:
        default: Value that is taken where none is given.
        kind: What the key may hold.
        meaning: One or two sentences for the reference.
        unit: Unit of the value, empty where it has none.

    Returns:
        A dataclass field; declared as the type of the default, as
        ``dataclasses.field`` itself is.
    """
    metadata = {"key": Key(kind, meaning, unit)}
    if isinstance(default, dict):
        made: Any = field(default_factory=default.copy, hash=False, metadata=metadata)
    else:
        made = field(default=default, metadata=metadata)
    return made  # type: ignore[no-any-return]


def whole(low: int, high: int | None = None) -> Kind:
    """Return the kind of whole numbers from ``low`` to ``high``, both included."""
    wanted = f"a whole number >= {low}" if high is None else f"a whole number from {low} to {high}"

    def parse(value: object) -> int:
        # True is an int to Python, and never meant as one in a configuration.
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError
        if value < low or (high is not None and value > high):
            raise ValueError
        return value

    return Kind(wanted, parse)


def whole_or(other: str | int, low: int) -> Kind:
    """Return the kind of whole numbers from ``low``, or one other value in their place."""
    number = whole(low)

    def parse(value: object) -> object:
        is_other = type(value) is type(other) and value == other
        return value if is_other else number.parse(value)

    shown = f'"{other}"' if isinstance(other, str) else other
    return Kind(f"{number.wanted}, or {shown}", parse)


def real(accepts: Callable[[float], bool], wanted: str) -> Kind:
    """Return the kind of finite numbers that ``accepts`` takes."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not math.isfinite(value) or not accepts(value):
            raise ValueError
        return float(value)

    return Kind(wanted, parse)


def text(wanted: str = "a text that is not empty", *, may_be_empty: bool = False) -> Kind:
    """Return the kind of texts."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not (value.strip() or may_be_empty):
            raise ValueError
        return value

    return Kind(wanted, parse, is_text=True)


def matching(pattern: str, wanted: str) -> Kind:
    """Return the kind of texts that a whole pattern describes, and of the empty text."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not (value == "" or re.fullmatch(pattern, value)):
            raise ValueError
        return value

    return Kind(f"{wanted}, or an empty text", parse, is_text=True)


def texts(wanted: str) -> Kind:
    """Return the kind of lists of texts, at least one long; kept as a tuple."""
    one = text()

    def parse(value: object) -> tuple[object, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError
        return tuple(one.parse(item) for item in value)

    return Kind(wanted, parse)


def one_of(*choices: str, note: str = "") -> Kind:
    """Return the kind of a choice; ``note`` says why there are no more."""
    quoted = [f'"{choice}"' for choice in choices]
    wanted = f"one of {', '.join(quoted)}" if len(quoted) > 1 else quoted[0]

    def parse(value: object) -> object:
        if value not in choices:
            raise ValueError
        return value

    return Kind(f"{wanted} ({note})" if note else wanted, parse, is_text=True)


def flag() -> Kind:
    """Return the kind of ``true`` and ``false``."""

    def parse(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Kind("true or false", parse)


def only(value: T, wanted: str) -> Kind:
    """Return the kind of a key whose one value so far is ``value``."""

    def parse(given: object) -> object:
        if given != value or type(given) is not type(value):
            raise ValueError
        return given

    return Kind(wanted, parse, is_text=isinstance(value, str))


def spark_settings() -> Kind:
    """Return the kind of tables of Spark settings, kept as texts by full name.

    ``spark.executor.memory = "4g"`` without quotes around the name is a nest of
    tables to TOML, so nests are flattened.
    """

    def parse(value: object) -> dict[str, str]:
        settings = dict(_flat("", value))
        if not all(name.startswith("spark.") for name in settings):
            raise ValueError
        return settings

    def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
        if isinstance(value, Mapping):
            pairs = [
                pair
                for name, inner in value.items()
                for pair in _flat(f"{prefix}.{name}" if prefix else str(name), inner)
            ]
            return pairs
        if isinstance(value, bool):
            return [(prefix, str(value).lower())]
        if prefix and isinstance(value, str | int | float):
            return [(prefix, str(value))]
        raise ValueError

    return Kind(
        'a table of Spark settings whose names start with "spark.", each a text, a number, '
        "true or false",
        parse,
    )
