"""Optional packages, which the extras of glasses-spark install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from glasses_spark.errors import SetupError


def require_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Full name of the module; its first part is the name of the package.
        extra: The extra of glasses-spark that installs the package.
        purpose: What needs the package, as the subject of a sentence, such as
            ``fetching from Kaggle``.

    Returns:
        The module.

    Raises:
        SetupError: The package, or one that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise SetupError(
            f"{purpose} needs the package {missing}, which is not installed. Install it: "
            f'pip install "glasses-spark[{extra}]"'
        ) from error
