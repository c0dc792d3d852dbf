"""Fit result: weights and history of a fit as rows, which a task gives back to the client."""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import numpy as np

from glasses_spark import errors
from glasses_spark.errors import GlassesSparkError, WorkerError
from glasses_spark.runtime.keras_archive import set_weights
from glasses_spark.training.history import EpochRecord

SCHEMA: Final = "piece int, pieces int, content binary"

# A message of Spark Connect has at most 128 MiB.
PIECE_BYTES: Final = 4 * 2**20

_HEADER: Final = "header"


@dataclass(frozen=True)
class FitResult:
    """What a fit has come to.

    Attributes:
        history: One record for each epoch.
        weights: The trained weights, as ``model.get_weights()`` returns them.
        optimizer: The values of the optimizer's variables.
        error: Name of the class of the error that ended the fit, and its message; empty for a
            complete fit.
        notes: Notes of the error, such as the worker's traceback.
    """

    history: Sequence[EpochRecord] = ()
    weights: Sequence[Any] = ()
    optimizer: Sequence[Any] = ()
    error: tuple[str, str] | tuple[()] = ()
    notes: Sequence[str] = field(default=())

    @classmethod
    def of(cls, model: Any, history: Sequence[EpochRecord]) -> Self:
        """Return the result of a complete fit."""
        optimizer = [variable.numpy() for variable in model.optimizer.variables]
        return cls(history, model.get_weights(), optimizer)

    @classmethod
    def of_error(cls, error: Exception) -> Self:
        """Return the result of a fit that an error has ended."""
        notes = list(getattr(error, "__notes__", ()))
        if isinstance(error, GlassesSparkError):
            return cls(error=(type(error).__name__, str(error)), notes=notes)
        text = "".join(traceback.format_exception(error))
        message = f"the coordinator of the fit failed: {type(error).__name__}: {error}"
        return cls(error=(WorkerError.__name__, message), notes=[*notes, text])

    def rows(self) -> Iterator[Any]:
        """Yield the result as Arrow batches of `SCHEMA`."""
        import pyarrow as pa

        header = {
            "history": [asdict(record) for record in self.history],
            "error": self.error,
            "notes": list(self.notes),
        }
        file = io.BytesIO()
        arrays = {f"weight_{i:06d}": array for i, array in enumerate(self.weights)}
        arrays |= {f"optimizer_{i:06d}": array for i, array in enumerate(self.optimizer)}
        arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(file, **arrays)
        content = file.getvalue()
        starts = range(0, len(content), PIECE_BYTES)
        for piece, start in enumerate(starts):
            yield pa.RecordBatch.from_pydict(
                {
                    "piece": pa.array([piece], pa.int32()),
                    "pieces": pa.array([len(starts)], pa.int32()),
                    "content": pa.array([content[start : start + PIECE_BYTES]], pa.binary()),
                }
            )

    @classmethod
    def of_rows(cls, rows: Iterable[Any]) -> Self:
        """Return a result from its rows; rows after the last one are not waited for.

        Raises:
            WorkerError: Rows are missing.
        """
        pieces: dict[int, bytes] = {}
        for row in rows:
            pieces[row.piece] = bytes(row.content)
            if len(pieces) == row.pieces:
                break
        else:
            raise WorkerError(
                f"expected the result of the fit from its first task, got {len(pieces)} parts of it"
            )
        file = io.BytesIO(b"".join(content for _, content in sorted(pieces.items())))
        with np.load(file, allow_pickle=False) as arrays:
            header = json.loads(arrays[_HEADER].tobytes())
            weights, optimizer = (
                [arrays[name] for name in sorted(arrays.files) if name.startswith(prefix)]
                for prefix in ("weight_", "optimizer_")
            )
        return cls(
            [EpochRecord.from_dict(record) for record in header["history"]],
            weights,
            optimizer,
            tuple(header["error"]),
            header["notes"],
        )

    def require_complete(self) -> None:
        """Raise the error that ended the fit, if there is one."""
        if not self.error:
            return
        name, message = self.error
        kind = getattr(errors, name, WorkerError)
        error = kind(message)
        for note in self.notes:
            error.add_note(note)
        raise error

    def write_to(self, model: Any) -> None:
        """Set the weights of a model, and the state of its optimizer."""
        set_weights(model, self.weights)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_weights)
        for variable, value in zip(model.optimizer.variables, self.optimizer, strict=True):
            variable.assign(value)
