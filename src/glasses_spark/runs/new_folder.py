"""New run folder: the results of a run, written completely before they replace earlier ones.

Results may be the work of days. Where they cannot be written to their place, they are written
to another one, and an error names it.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glasses_spark.errors import GlassesSparkError, ResultsError
from glasses_spark.runs.folder import METRICS, check_run_folder
from glasses_spark.runs.staging import RUN, is_whole, keep, mark_fitted, publish, recover, stage
from glasses_spark.runs.target import (
    RESULTS,
    UNFINISHED,
    Target,
    locate,
    require_short_name,
    try_target,
)
from glasses_spark.runtime.owned_folder import PREFIX, OwnedFolder

logger = logging.getLogger(__name__)

# Writes files to a folder. Called again with another folder if the first one cannot be written.
Write = Callable[[Path], None]


def fallback_targets(name: str) -> list[Target]:
    """Return the places for the results of a run if its own cannot be written, best first.

    Args:
        name: Name of the run folder.
    """
    parents: list[Path] = []
    # The temporary folder may be missing, and the current folder deleted.
    for find in (tempfile.gettempdir, os.getcwd, Path.home):
        with suppress(OSError, RuntimeError):
            parents.append(Path(find()))
    return [Target(parent / f"{PREFIX}{name}") for parent in parents]


def check_target(folder: Path, *, results: str = METRICS) -> None:
    """Check that the results of a run can be written to a folder, by a try.

    Before that, what killed processes have left there is completed or removed.

    Args:
        folder: A missing folder, an empty one, or the run folder of an earlier run.
        results: Name of the file that identifies runs of the same kind.

    Raises:
        ConfigError: It is a file, a folder with other contents, or cannot be written, or its name
            is too long.
    """
    require_short_name(folder)
    recover(folder)
    for fallback in fallback_targets(locate(folder).name):
        recover(fallback.folder)
    check_run_folder(folder, results=results)
    try_target(folder)


class NewRunFolder:
    """The results of a run until they are in their place.

    Args:
        target: Their place; for a URI, a free place on this machine.
        location: Their place in messages.
        upload: Puts complete results in their place; None to move them to the target.
        results: As for ``check_target``.
    """

    def __init__(
        self,
        target: Target,
        location: str,
        upload: Callable[[Path], None] | None = None,
        *,
        results: str = METRICS,
    ) -> None:
        self._location = location
        self._upload = upload
        self._results = results
        self._target = target
        self._fallbacks = fallback_targets(target.name)
        self._staged: list[OwnedFolder] = []
        self._failure: Exception | None = None
        self._fitted: tuple[Path, Target, OwnedFolder] | None = None

    def write_model(self, write: Write) -> None:
        """Write the fitted model, which is kept if the results are not completed.

        Raises:
            Exception: It cannot be written anywhere.
        """
        staged = self._write(write)
        mark_fitted(staged.path)
        self._fitted = (staged.path / RUN, self._target, staged)

    def finish(self, write: Write) -> None:
        """Write the results, and put them in their place.

        Raises:
            ResultsError: They are complete, but in another place, which the message names.
            Exception: They cannot be written anywhere.
        """
        staged = self._write(write)
        if self._failure is None:
            try:
                if self._upload is None:
                    # Something else may have come there since the work began.
                    check_run_folder(self._target.folder, results=self._results)
                    publish(staged.path, self._target)
                else:
                    self._upload(staged.path / RUN)
            except Exception as error:
                self._failure = error
        self._fitted = None
        if self._failure is not None:
            raise self._results_error(staged, self._failure) from self._failure

    def close(self) -> Path | None:
        """Remove what is not needed; return the folder of a fitted model without results."""
        kept = None
        if self._fitted is not None:
            kept, target, staged = self._fitted
            try:
                kept = keep(kept, target, UNFINISHED)
            except OSError:
                self._leave(staged)
        for staged in self._staged:
            staged.remove()
        return kept

    def _write(self, write: Write) -> OwnedFolder:
        """Write to the first place that takes it; return its staging folder."""
        while True:
            try:
                if not self._staged:
                    self._staged.append(stage(self._target, private=self._upload is not None))
                write(self._staged[-1].path / RUN)
                return self._staged[-1]
            except Exception as error:
                # Not the disk's fault if it is the same in another place.
                same = repr(error) == repr(self._failure) and not isinstance(error, OSError)
                self._failure = self._failure or error
                if same or not self._stage_elsewhere():
                    raise self._nowhere(self._failure) from error

    def _nowhere(self, failure: Exception) -> Exception:
        if not isinstance(failure, OSError):
            return failure
        return ResultsError(
            f"run.dir: the results cannot be written to {self._location}, nor to any other "
            f"folder: {_reason(failure)}. Free some space, or use another folder"
        )

    def _leave(self, staged: OwnedFolder) -> None:
        """Leave a staging folder to a later run."""
        self._staged.remove(staged)
        staged.release()

    def _stage_elsewhere(self) -> bool:
        while self._fallbacks:
            target = self._fallbacks.pop(0)
            with suppress(OSError):
                self._staged.append(stage(target, private=True))
                self._target = target
                return True
        return False

    def _results_error(self, staged: OwnedFolder, failure: Exception) -> ResultsError:
        run = staged.path / RUN
        # Otherwise the next run completes what is in the staging folder.
        if is_whole(staged.path):
            with suppress(OSError):
                run = keep(run, self._target, RESULTS)
        if run.parent == staged.path:
            self._leave(staged)
        return ResultsError(
            f"run.dir: the results cannot be written to {self._location}: {_reason(failure)}. "
            f"They are complete in {run}, move them from there",
            folder=run,
        )


@contextmanager
def new_run_folder(
    folder: Path,
    *,
    location: str | None = None,
    upload: Callable[[Path], None] | None = None,
    results: str = METRICS,
) -> Iterator[NewRunFolder]:
    """Provide a new run folder for a block that writes its results.

    Args:
        folder: Target folder. Results of an earlier run in it are replaced, other files stay.
        location: As for ``NewRunFolder``; by default the folder.
        upload: As for ``NewRunFolder``.
        results: As for ``check_target``.

    Yields:
        The new run folder.

    Raises:
        GlassesSparkError: The block failed. If the model was fitted, the message says where it
            is.
    """
    new = NewRunFolder(locate(folder), location or str(folder), upload, results=results)
    try:
        yield new
    except BaseException as error:
        kept = new.close()
        if kept is None:
            raise
        message = (
            f"The fitted model is in {kept}: `glasses-spark predict --model {kept}` and "
            f"`glasses-spark evaluate --model {kept}` use it"
        )
        if isinstance(error, GlassesSparkError):
            raise type(error)(f"{error}. {message}") from error.__cause__ or error
        logger.warning("%s", message)
        raise
    new.close()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
