"""Accessors: the methods and the signature that Spark ML's own stages have for their Params."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter, Signature
from typing import Any

from pyspark.ml.param import Params


def add_accessors(stage: type[Params], *, arguments: Sequence[str] = ()) -> None:
    """Add ``setX`` and ``getX`` for each Param, ``setParams``, and the constructor's signature.

    Methods that the class has already are kept. The signature names each Param, with its
    default, for ``help()`` and for completion in shells and notebooks.

    Args:
        stage: Class of a stage, whose constructor takes Params by their names.
        arguments: Names of further arguments of the constructor, with the default None.
    """
    made: Any = stage()
    for param in made.params:
        suffix = "".join(part[:1].upper() + part[1:] for part in param.name.split("_"))
        for method in (_setter(param.name, suffix), _getter(param.name, suffix)):
            if not hasattr(stage, method.__name__):
                method.__qualname__ = f"{stage.__qualname__}.{method.__name__}"
                method.__doc__ = f"{method.__doc__} {param.name}: {param.doc.rstrip('.')}."
                setattr(stage, method.__name__, method)
    keywords = [
        Parameter(param.name, Parameter.KEYWORD_ONLY, default=_default(made, param))
        for param in made.params
    ]
    further = [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in arguments]
    set_params = _set_params()
    set_params.__qualname__ = f"{stage.__qualname__}.setParams"
    own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    set_params.__signature__ = Signature([own, *keywords])
    stage.setParams = set_params  # type: ignore[attr-defined]
    stage.__signature__ = Signature([*keywords, *further])  # type: ignore[attr-defined]


def _default(stage: Any, param: Any) -> Any:
    return stage.getOrDefault(param) if stage.hasDefault(param) else None


def _setter(name: str, suffix: str) -> Any:
    def method(self: Any, value: Any) -> Any:
        """Set the Param."""
        return self._set(**{name: value})

    method.__name__ = f"set{suffix}"
    return method


def _getter(name: str, suffix: str) -> Any:
    def method(self: Any) -> Any:
        """Return the value of the Param, or its default."""
        return self.getOrDefault(name)

    method.__name__ = f"get{suffix}"
    return method


def _set_params() -> Any:
    def setParams(self: Any, **values: Any) -> Any:
        """Set several Params by their names; the others keep their values."""
        return self._set(**values)

    return setParams
