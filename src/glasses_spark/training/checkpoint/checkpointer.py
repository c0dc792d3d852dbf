"""Checkpointer: writes the checkpoints of one fit, and resumes it from the last one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final, Self

from glasses_spark.config.interval import Interval
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.signals import Signals
from glasses_spark.training.callbacks import CallbackRunner
from glasses_spark.training.checkpoint.archive import Arrays
from glasses_spark.training.checkpoint.callback_states import read_states, restore_states
from glasses_spark.training.checkpoint.fingerprint import Fingerprint
from glasses_spark.training.checkpoint.folder import CheckpointFolder
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.fit_state import FitState

logger = logging.getLogger(__name__)

# Of the contents of a manifest.
VERSION: Final = 1


class Checkpointer:
    """Writes checkpoints in a thread of its own, so that the workers do not wait for the disk.

    Used as a context manager: at its end the last checkpoint is complete. If there is a folder,
    SIGTERM and SIGHUP end the fit in `poll`.

    Args:
        folder: Folder of the checkpoints; None reads and writes none.
        fingerprint: What the checkpoints belong to.
        coordinator: Coordinator of the fit.
        runner: Runner of the callbacks.
        interval: How often to write.
        clock: Returns seconds that never decrease.
    """

    def __init__(
        self,
        folder: CheckpointFolder | None,
        fingerprint: Fingerprint,
        coordinator: Coordinator,
        runner: CallbackRunner,
        interval: Interval,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._coordinator = coordinator
        self._runner = runner
        self._interval = interval
        self._clock = clock
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[bool] | None = None
        self._last_steps, self._last_time = 0, clock()
        self._signals = Signals()

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._signals.__enter__()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._writer.shutdown(wait=True)
        self._signals.__exit__()
        if kind is None:
            self._signals.exit_if_received()  # after the last poll

    def resume(self) -> list[EpochRecord]:
        """Begin the fit: anew, or from the last checkpoint.

        Returns:
            The history up to the checkpoint; empty for a new fit.

        Raises:
            TrainingError: The checkpoint belongs to another fit.
        """
        saved = None if self._folder is None else self._folder.newest()
        if saved is None or self._folder is None:
            self._runner.begin()
            return []
        manifest, arrays = saved
        if manifest.get("version") != VERSION:
            raise TrainingError(
                f"the checkpoint in {self._folder.location} has the version "
                f"{manifest.get('version')!r}, expected {VERSION}. Delete it, or use the version "
                "of glasses_spark that wrote it"
            )
        self._fingerprint.require(manifest.get("fingerprint"), self._folder.location)
        state = FitState.from_dict(manifest.get("fit", {}), arrays)
        history = _history(manifest.get("history"))
        self._runner.resume(
            state,
            epochs=len(history),
            stopped=bool(manifest.get("stopped")),
            restore=lambda callbacks: restore_states(
                callbacks, manifest.get("callbacks", []), arrays
            ),
        )
        logger.info(
            "resumed the fit from the checkpoint in %s, after %d epochs",
            self._folder.location,
            len(history),
        )
        return history

    def poll(self, history: Sequence[EpochRecord]) -> None:
        """Write a checkpoint if steps or seconds say so.

        Raises:
            SystemExit: SIGTERM or SIGHUP was received. The caller writes a last checkpoint.
        """
        self._signals.exit_if_received()
        if self._folder is None or self._interval.is_epoch:
            return
        steps = self._coordinator.progress() - self._last_steps
        if self._interval.is_over(steps=steps, seconds=self._clock() - self._last_time):
            self.write(history)

    def end_epoch(self, history: Sequence[EpochRecord]) -> None:
        """Write a checkpoint after an epoch; each fit has one of its end."""
        is_last = self._runner.stopped or len(history) >= self._coordinator.schedule.epochs
        if self._interval.is_epoch or is_last:
            self.write(history, wait=is_last)

    def interrupt(self, history: Sequence[EpochRecord]) -> None:
        """Write a last checkpoint, because the process is about to end."""
        self.write(history, wait=True)
        if self._folder is not None and self._writing is not None and self._writing.result():
            logger.warning(
                "interrupted in epoch %d; the checkpoint is in %s",
                len(history) + 1,
                self._folder.location,
            )

    def write(self, history: Sequence[EpochRecord], *, wait: bool = False) -> None:
        """Write a checkpoint now.

        Args:
            history: Records of the epochs that the driver has finished.
            wait: Whether to wait for an earlier one that is being written, instead of
                leaving this one out.
        """
        folder = self._folder
        if folder is None or self._interval.is_never:
            return
        if not (wait or self._writing is None or self._writing.done()):
            return
        self._last_steps, self._last_time = self._coordinator.progress(), self._clock()
        state = self._coordinator.state()
        if state is None:
            return
        callbacks, arrays = read_states(self._runner.callbacks)
        manifest: dict[str, Any] = {
            "version": VERSION,
            "fingerprint": self._fingerprint.as_dict(),
            "fit": state.as_dict(),
            "history": [asdict(record) for record in history],
            "callbacks": callbacks,
            "stopped": self._runner.stopped,
        }
        everything = {**state.arrays, **arrays}
        self._writing = self._writer.submit(self._save, folder, manifest, everything)

    def _save(self, folder: CheckpointFolder, manifest: dict[str, Any], arrays: Arrays) -> bool:
        """Write a checkpoint, and return whether that was possible.

        A full disk does not end the fit.
        """
        try:
            folder.write(manifest, arrays)
        except Exception as error:
            logger.warning("no checkpoint was written to %s: %s", folder.location, error)
            return False
        return True


def _history(records: Any) -> list[EpochRecord]:
    try:
        return [EpochRecord.from_dict(values) for values in records]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"the checkpoint has no legal history: {error}. Delete it") from error
