"""Cases: every public name of Keras with its defaults, and with each argument changed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tests.conformance.compare import Scene
from tests.conformance.values import BASE, NO_CASE, NO_SECOND_VALUE, SECOND, WITH, Table

# Modules of Keras, by the name of a part. ``compile`` is the method of a model.
PARTS: Final = (
    "layers",
    "activations",
    "initializers",
    "regularizers",
    "constraints",
    "losses",
    "metrics",
    "optimizers",
    "schedules",
    "callbacks",
    "compile",
)

# Arguments that get their value in `BASE` although they have a default.
ALWAYS_SET: Final = frozenset(["seed", "monitor", "learning_rate"])

# Arguments of all layers, which Keras' signatures do not repeat, and state outside the arguments.
FURTHER: Final = (
    ("layers", "Dense", "trainable", "False"),
    ("layers", "Dense", "autocast", "False"),
    ("layers", "Dense", "name", "'another'"),
    ("layers", "Dense", "dtype", "'float64'"),
    ("layers", "Dense", "dtype", "'bfloat16'"),
    ("layers", "Dense", "dtype", "'mixed_bfloat16'"),
    ("layers", "Dense", "dtype", "'mixed_float16'"),
)
AFTERWARDS: Final = (
    ("optimizers", "AdamW", "it.exclude_from_weight_decay(var_names=['bias'])"),
    ("optimizers", "SGD", "setattr(it, 'learning_rate', 0.2)"),
    ("layers", "Dense", "it.__setattr__('trainable', False)"),
)


@dataclass(frozen=True)
class Case:
    """One constructor call of Keras.

    Attributes:
        part: See `PARTS`.
        name: Public name in this part.
        arguments: Arguments as Python source.
        change: The argument that is not as in the default case, as ``name=value``; empty for the
            default case.
        after: Source that changes the object ``it`` afterwards.
    """

    part: str
    name: str
    arguments: Mapping[str, str]
    change: str = ""
    after: str = ""

    @property
    def id(self) -> str:
        """Name of the case in the table."""
        return f"{self.part}.{self.name}" + (f"({self.change})" if self.change else "")

    @property
    def argument(self) -> str:
        """Name of the changed argument; empty for the default case."""
        return self.change.partition("=")[0] if not self.after else ""

    def target(self) -> Any:
        """Return the class or function."""
        return getattr(module_of(self.part), self.name)

    def values(self, scene: Scene) -> dict[str, Any]:
        """Return new values of the arguments."""
        return {name: evaluate(source, scene) for name, source in self.arguments.items()}

    def make(self, scene: Scene) -> Any:
        """Return a new object."""
        it = self.target()(**self.values(scene))
        if self.after:
            evaluate(self.after, scene, it=it)
        return it


def module_of(part: str) -> Any:
    """Return the module of Keras that is a part."""
    import keras

    if part == "schedules":
        return keras.optimizers.schedules
    if part == "compile":
        return keras.Model
    return getattr(keras, part)


def evaluate(source: str, scene: Scene, **names: Any) -> Any:
    """Evaluate the source of a value."""
    import keras

    scope = {name: getattr(keras, name) for name in PARTS if name not in ("schedules", "compile")}
    # As globals: functions of a case look up the names later.
    return eval(
        source,
        {"keras": keras, "np": np, "folder": scene.folder, "seen": scene.seen, **scope, **names},
    )


def public_names(part: str) -> list[str]:
    """Return the public names of a part, without other names of the same object."""
    if part == "compile":
        return ["compile"]
    module = module_of(part)
    names: dict[int, list[str]] = {}
    for name in sorted(dir(module)):
        value = getattr(module, name)
        if not name.startswith("_") and not inspect.ismodule(value):
            names.setdefault(id(value), []).append(name)
    return sorted(_first_name(module, same) for same in names.values())


def _first_name(module: Any, names: list[str]) -> str:
    own = getattr(module, names[0]).__name__
    return own if own in names else names[0]


def enumerate_cases(part: str) -> list[Case]:
    """Return the cases of a part.

    Raises:
        LookupError: An argument of Keras has neither a second value nor a reason for none.
    """
    cases: list[Case] = []
    missing: list[str] = []
    for name in public_names(part):
        if f"{part}.{name}" not in NO_CASE:
            cases.extend(_cases_of(part, name, missing))
    if missing:
        raise LookupError(
            "expected a second value in tests/conformance/values.py, or a reason for none: "
            + ", ".join(missing)
        )
    return cases


def _cases_of(part: str, name: str, missing: list[str]) -> Iterator[Case]:
    parameters = parameters_of(part, name)
    base = dict(_base(part, name, parameters, missing))
    yield Case(part, name, base)
    for argument in parameters:
        if _look_up(NO_SECOND_VALUE[part], name, argument) is not None:
            continue
        value = _look_up(SECOND[part], name, argument)
        if value is None or value == base.get(argument):
            missing.append(f"{part}.{name}.{argument}")
            continue
        more = _look_up(WITH.get(part, {}), name, argument) or {}
        yield Case(part, name, {**base, **more, argument: value}, f"{argument}={value}")
    for its_part, its_name, argument, value in FURTHER:
        if (its_part, its_name) == (part, name):
            yield Case(part, name, {**base, argument: value}, f"{argument}={value}")
    for its_part, its_name, source in AFTERWARDS:
        if (its_part, its_name) == (part, name):
            yield Case(part, name, base, source.removeprefix("it."), source)
    if part in ("losses", "metrics", "activations") and name == name.lower():
        yield Case(part, name, base, "by name")


def _base(
    part: str, name: str, parameters: Mapping[str, inspect.Parameter], missing: list[str]
) -> Iterator[tuple[str, str]]:
    table = BASE[part]
    for argument, parameter in parameters.items():
        required = parameter.default is inspect.Parameter.empty
        value = table.get(f"{name}.{argument}")
        if value is None and (required or argument in ALWAYS_SET):
            value = table.get(argument)
        if value is not None:
            yield argument, value
        elif required:
            missing.append(f"{part}.{name}.{argument} (required)")


def parameters_of(part: str, name: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a constructor, or of a function that makes a layer."""
    target = getattr(module_of(part), name)
    is_class = inspect.isclass(target)
    if not is_class and part in ("losses", "metrics", "activations"):
        return {}  # compile and layers take the function itself
    function = target.__init__ if is_class else target
    return {
        parameter.name: parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("self", "inputs", "args", "kwargs")
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


def _look_up(table: Mapping[str, Any], name: str, argument: str) -> Any:
    for key in (f"{name}.{argument}", f"{name}.*", argument):
        if key in table:
            return table[key]
    endings = [key for key in table if key.startswith("*") and argument.endswith(key[1:])]
    return table[endings[0]] if endings else None


__all__ = ["PARTS", "Case", "Table", "enumerate_cases", "evaluate", "public_names"]
