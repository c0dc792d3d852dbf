"""Fuzz target ``checkpoint``: a file in the folder of the checkpoints of a fit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from glasses_spark.errors import GlassesSparkError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.checkpoint.archive import read_archive, write_archive
from glasses_spark.training.checkpoint.callback_states import read_states, restore_states
from glasses_spark.training.history import EpochRecord, WorkerShare
from glasses_spark.training.server.calls import Caller
from glasses_spark.training.server.fit_state import FitState
from tests.fuzz.archives import mutate
from tests.fuzz.target import Check, Target, refused
from tests.training.server.served_fit import ServedFit


def seeds() -> list[bytes]:
    """Return checkpoints of fits in different modes, within an epoch and between two."""
    return [_checkpoint("asynchronous"), _checkpoint("synchronous")]


@contextmanager
def opened() -> Iterator[Check]:
    """Provide a check: a fit goes on from the file, or an error says that it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint-000001.zip"

        def check(data: bytes) -> None:
            path.write_bytes(data)
            refused(lambda: _resume(path))

        yield check


def _resume(path: Path) -> None:
    manifest, arrays = read_archive(path)
    for mode in ("asynchronous", "synchronous"):
        fit = ServedFit(mode=mode)
        try:
            state = FitState.from_dict(manifest.get("fit", {}), arrays)
            fit.coordinator.restore(state)
            restore_states(_callbacks(), manifest.get("callbacks", []), arrays)
        except GlassesSparkError:
            continue
        assert fit.weights.vector().dtype == np.float32


def _checkpoint(mode: str) -> bytes:
    fit = ServedFit(mode=mode)
    fit.coordinator.join(Caller((0,), 0), "host")
    if mode != "synchronous":
        fit.coordinator.push(Caller((0,), 0), 0, fit.push())
    state = fit.coordinator.state()
    assert state is not None
    callbacks, arrays = read_states(_callbacks())
    record = EpochRecord(1, {"loss": 0.5}, 16, (WorkerShare(0, 8, 1.0, 0.1, 0.0),))
    manifest: dict[str, Any] = {
        "version": 1,
        "fingerprint": {},
        "fit": state.as_dict(),
        "history": [asdict(record)],
        "callbacks": callbacks,
        "stopped": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        write_archive(path, json.loads(json.dumps(manifest)), {**state.arrays, **arrays})
        return path.read_bytes()


def _callbacks() -> list[Any]:
    keras = import_keras()
    stopping = keras.callbacks.EarlyStopping(monitor="loss", restore_best_weights=True)
    stopping.best_weights = [np.zeros(3, np.float32)]
    return [stopping, keras.callbacks.ReduceLROnPlateau()]


CHECKPOINT: Final = Target("checkpoint", seeds, opened, mutate)
