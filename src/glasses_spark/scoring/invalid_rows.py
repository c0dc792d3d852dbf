"""Invalid rows: what a model does with rows that it cannot score, as in Spark ML."""

from __future__ import annotations

from typing import Any, Final

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasHandleInvalid
from pyspark.sql import Column
from pyspark.sql import functions as F

from glasses_spark.errors import ConfigError, ScoringError

ERROR: Final = "error"
SKIP: Final = "skip"
KEEP: Final = "keep"

INVALID_REASON: Final = "invalidReason"

_ERROR_NAME: Final = f"{ScoringError.__module__}.{ScoringError.__qualname__}"
_ADVICE: Final = 'Correct the row, or set handleInvalid to "skip" or "keep"'


def _handling(value: Any) -> str:
    if value not in (ERROR, SKIP, KEEP):
        raise ConfigError(f"handleInvalid: expected {ERROR}, {SKIP} or {KEEP}, got {value!r}")
    return str(value)


class HandlesInvalidRows(HasHandleInvalid):
    """Mixin: what happens to rows that cannot be scored.

    These are rows with a null instead of features or among them, with NaN or infinity, or with
    another number of values than the input.

    - ``handleInvalid``: ``error`` raises a `ScoringError`, ``skip`` drops the rows, ``keep`` adds
      null in all columns of the model.
    - ``invalidReasonCol``: with ``keep``, column of the reason; null in the other rows.
    """

    handleInvalid: Param[str] = Param(
        Params._dummy(),
        "handleInvalid",
        "what to do with rows that cannot be scored: error, skip (drop them) or keep (null)",
        _handling,
    )
    invalidReasonCol: Param[str] = Param(
        Params._dummy(),
        "invalidReasonCol",
        "column of the reasons of rows that handleInvalid='keep' keeps; empty for none",
        TypeConverters.toString,
    )

    def getHandleInvalid(self) -> str:
        """Return what happens to rows that cannot be scored: ``error``, ``skip`` or ``keep``."""
        # Spark ML stores None unchecked.
        return _handling(self.getOrDefault(self.handleInvalid))

    def reason_columns(self) -> list[str]:
        """Return the name of the column of reasons, if `transform` adds it."""
        name = str(self.getOrDefault(self.invalidReasonCol))
        return [name] if name and self.getHandleInvalid() == KEEP else []

    def invalid_params(self) -> dict[str, str]:
        """Return the Params, to pass them on or to save them."""
        return {
            param.name: self.getOrDefault(param)
            for param in (self.handleInvalid, self.invalidReasonCol)
        }

    def _set_invalid_defaults(self) -> None:
        self._setDefault(handleInvalid=ERROR, invalidReasonCol=INVALID_REASON)


def where_valid(value: Column, reason: Column, handling: str) -> Column:
    """Return a value in valid rows, and in the others null or an error.

    The executors raise the error, because Spark puts no text of its own before its message,
    unlike that of a Python worker.

    Args:
        value: Value of a row.
        reason: Reason of an invalid row, null in a valid one.
        handling: Value of ``handleInvalid``.
    """
    valid = F.when(reason.isNull(), value)
    if handling != ERROR:
        return valid
    message = F.concat(F.lit(f"{_ERROR_NAME}: "), reason, F.lit(f". {_ADVICE}"))
    return valid.otherwise(F.raise_error(message))
