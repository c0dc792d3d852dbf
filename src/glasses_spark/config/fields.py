"""Fields: declaration, check and description of one setting, in one place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Final, TypeVar

from glasses_spark.config.toml_text import shown
from glasses_spark.errors import ConfigError

# The value that leaves the choice to the library.
AUTO: Final = "auto"

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """A kind of value, with its check.

    Attributes:
        wanted: Accepted values; completes the sentence "expected ...".
        parse: Returns the value to keep for an accepted value (``1.0`` for ``1``
            where a fraction is wanted). Raises ValueError for any other value.
        is_text: Whether a value from the command line is kept as it is written
            (``data.images=2020`` names a folder, not a number).
    """

    wanted: str
    parse: Callable[[object], object]
    is_text: bool = False

    def check(self, name: str, value: object) -> object:
        """Return the value to keep.

        Args:
            name: Name of the setting, for the message.
            value: Value to check.

        Raises:
            ConfigError: The value is not of this kind.
        """
        try:
            return self.parse(value)
        except ValueError:
            raise ConfigError(f"{name}: expected {self.wanted}, got {shown(value)}") from None


@dataclass(frozen=True)
class Key:
    """One setting: its kind, its entry in the reference and its name in Spark ML.

    Attributes:
        kind: Kind of its values.
        meaning: One or two sentences for the reference.
        unit: Unit of the value, empty where it has none.
        param: Name of the estimator's Param; empty for the name of the field.
    """

    kind: Kind
    meaning: str
    unit: str
    param: str


def key(default: T, kind: Kind, meaning: str, *, unit: str = "", param: str = "") -> T:
    """Declare a setting as a field of a dataclass.

    Args:
        default: Default value.
        kind: Kind of its values.
        meaning: One or two sentences for the reference.
        unit: Unit of the value, empty where it has none.
        param: Name of the estimator's Param, where it differs from the name of the
            field.

    Returns:
        A dataclass field, typed as the default, as ``dataclasses.field`` itself is.
    """
    metadata = {"key": Key(kind, meaning, unit, param)}
    if isinstance(default, dict):
        made: Any = field(default_factory=default.copy, hash=False, metadata=metadata)
    else:
        made = field(default=default, metadata=metadata)
    return made  # type: ignore[no-any-return]


def whole_number(low: int | None = None, high: int | None = None) -> Kind:
    """Return the kind of whole numbers from ``low`` to ``high``, both included."""
    wanted = "a whole number"
    if low is not None:
        wanted += f" >= {low}" if high is None else f" from {low} to {high}"

    def parse(value: object) -> int:
        # True is an int to Python, but not in a configuration. NumPy's integers are integral.
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise ValueError
        whole = int(value)
        if (low is not None and whole < low) or (high is not None and whole > high):
            raise ValueError
        return whole

    return Kind(wanted, parse)


def whole_number_or(alternative: str | int, low: int) -> Kind:
    """Return the kind of whole numbers from ``low``, and one alternative value."""
    numbers = whole_number(low)

    def parse(value: object) -> object:
        if type(value) is type(alternative) and value == alternative:
            return value
        return numbers.parse(value)

    return Kind(f"{numbers.wanted}, or {shown(alternative)}", parse)


def verbosity() -> Kind:
    """Return the kind of Keras' ``verbose``: 0, 1, 2 or "auto"."""
    levels = whole_number(0, 2)

    def parse(value: object) -> object:
        return value if value == AUTO else levels.parse(value)

    return Kind(f"0, 1, 2 or {shown(AUTO)}", parse)


def number(accepts: Callable[[float], bool], wanted: str) -> Kind:
    """Return the kind of finite numbers that ``accepts`` returns true for."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError
        if not math.isfinite(value) or not accepts(float(value)):
            raise ValueError
        return float(value)

    return Kind(wanted, parse)


def text(wanted: str = "a non-empty string", *, may_be_empty: bool = False) -> Kind:
    """Return the kind of strings."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not (value.strip() or may_be_empty):
            raise ValueError
        if "\0" in value:  # no file system takes it in a name
            raise ValueError
        return value

    return Kind(wanted, parse, is_text=True)


def matching(pattern: str, wanted: str) -> Kind:
    """Return the kind of strings that match a regular expression, and the empty string."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not (value == "" or re.fullmatch(pattern, value)):
            raise ValueError
        return value

    return Kind(f"{wanted}, or an empty string", parse, is_text=True)


def texts(wanted: str) -> Kind:
    """Return the kind of non-empty lists of non-empty strings, kept as tuples."""
    item_kind = text()

    def parse(value: object) -> tuple[object, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError
        return tuple(item_kind.parse(item) for item in value)

    return Kind(wanted, parse)


def one_of(*choices: str, note: str = "") -> Kind:
    """Return the kind of a choice; ``note`` follows the choices in messages."""
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


def label_weights() -> Kind:
    """Return the kind of weights by label, kept by the text of the label.

    By its text, such as ``"1.0"``, because Spark ML saves Params as JSON.
    """
    weights = number(lambda x: x >= 0, "a number >= 0")

    def parse(value: object) -> dict[str, object]:
        if not isinstance(value, Mapping):
            raise ValueError
        try:
            return {str(float(label)): weights.parse(weight) for label, weight in value.items()}
        except TypeError:  # a label that is not a number
            raise ValueError from None

    return Kind("a number >= 0 for each label", parse)


def spark_settings() -> Kind:
    """Return the kind of tables of Spark settings, kept as strings by full name.

    To TOML, ``spark.executor.memory = "4g"`` without quotes around the name is a
    nest of tables; nests are flattened.
    """

    def parse(value: object) -> dict[str, str]:
        settings = dict(_flatten("", value))
        if not all(name.startswith("spark.") for name in settings):
            raise ValueError
        return settings

    return Kind(
        'a table of Spark settings whose names start with "spark.", each a string, a number, '
        "true or false",
        parse,
    )


def _flatten(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            pair
            for name, inner in value.items()
            for pair in _flatten(f"{prefix}.{name}" if prefix else str(name), inner)
        ]
    if isinstance(value, bool):
        return [(prefix, str(value).lower())]
    if prefix and isinstance(value, str | int | float):
        return [(prefix, str(value))]
    raise ValueError
