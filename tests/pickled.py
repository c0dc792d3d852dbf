"""What Spark sends to its workers for a function."""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, Final

from pyspark import cloudpickle

# cloudpickle makes a code object with it.
_CODE_TYPE: Final = "CodeType"


def has_code(function: Callable[..., Any]) -> bool:
    """Return whether workers get code of a function, or of one it refers to, and not a name."""
    packed = cloudpickle.dumps(function)  # type: ignore[no-untyped-call]
    return any(value == _CODE_TYPE for _, value, _ in pickletools.genops(packed))
