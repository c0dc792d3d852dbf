"""Staging: results that are being written, beside their target, and what kills leave of them.

The folder ``.NAME.TOKEN.new`` belongs to the process that writes it, and contains:

- ``run``: the new results; the old ones after an exchange
- ``old``: the old results, where there is no exchange in one step
- ``state``: how far the process has come
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from glasses_spark.runs.exchange import (
    cannot_be_renamed,
    finish_contents,
    keep_others,
    replace_contents,
    replace_folder,
    sync,
    sync_tree,
)
from glasses_spark.runs.folder import MODEL, OURS, is_run_folder, require_run_folder
from glasses_spark.runs.target import PREVIOUS, STAGING, UNFINISHED, Target, locate
from glasses_spark.runtime.owned_folder import (
    OWNER,
    OwnedFolder,
    claim,
    is_without_owner,
    new_folder,
)

logger = logging.getLogger(__name__)

RUN: Final = "run"
_OLD: Final = "old"
_STATE: Final = "state"

# The new results have the fitted model; are complete; replace the old ones; take their place.
_FITTED: Final = "fitted"
_COMPLETE: Final = "complete"
_MOVING_OLD: Final = "moving old"
_MOVING_NEW: Final = "moving new"


def stage(target: Target, *, private: bool = False) -> OwnedFolder:
    """Create a staging folder for a target, with an empty folder ``run``.

    Args:
        target: Where the results will be.
        private: Whether only this user may read the results.

    Raises:
        OSError: It cannot be created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = new_folder(f".{target.name}.", parent=target.parent, suffix=".new")
    (staged.path / RUN).mkdir(mode=0o700 if private else 0o777)
    return staged


def mark_fitted(staged: Path) -> None:
    """Record that the new results have a fitted model, which must not be lost."""
    sync_tree(staged / RUN)
    _write_state(staged, _FITTED)


def publish(staged: Path, target: Target) -> None:
    """Put new results in the place of the old ones; after a kill, go on where it was.

    Files of the old folder that are not ours are kept.

    Raises:
        OSError: The target cannot be replaced. Nothing is lost, see `is_whole`.
    """
    run, old = staged / RUN, staged / _OLD
    state, inode = _read_state(staged)
    if state in ("", _FITTED):
        sync_tree(run)
        if target.folder.is_dir():
            run.chmod(stat.S_IMODE(target.folder.stat().st_mode))
        inode = run.stat().st_ino
        _write_state(staged, _COMPLETE, inode)
    if target.inside or state in (_MOVING_OLD, _MOVING_NEW):
        return _replace_contents(staged, target, state)
    # After an exchange it is the folder of the old results.
    if run.is_dir() and run.stat().st_ino == inode:
        try:
            replace_folder(run, target.folder, old)
        except OSError as error:
            if not cannot_be_renamed(error) or not target.folder.is_dir():
                raise
            return _replace_contents(staged, target, state)
        sync(target.folder.parent)
    for previous in (run, old):
        if previous.is_dir():
            _keep_others(previous, target)
    return None


def is_whole(staged: Path) -> bool:
    """Return whether the new results are in one folder, also after `publish` has failed."""
    return _read_state(staged)[0] not in (_MOVING_OLD, _MOVING_NEW)


def keep(run: Path, target: Target, suffix: str) -> Path:
    """Move a folder out of its staging folder to a visible name, and return its path.

    Raises:
        OSError: It cannot be moved.
    """
    path = target.beside(suffix)
    run.rename(path)
    return path


def recover(folder: Path) -> None:
    """Complete what killed processes have left of writing results there, or remove it.

    Complete results are put in their place. A fitted model without results is kept under a
    visible name, with a warning. Everything else is removed. What belongs to a living process
    is left alone.

    Args:
        folder: The folder of the results. Those of other runs beside it are completed as well.
    """
    target = locate(folder)
    for parent in {target.folder.parent, target.folder}:
        with suppress(OSError):
            names = os.listdir(parent)
            _restore_renamed(parent, names, target)
            for name in names:
                found = STAGING.fullmatch(name)
                if found is None or name.endswith(".old"):
                    continue
                if found["name"] == target.name:
                    _recover(parent / name, target)
                elif (parent / name / OWNER).exists():  # of another run
                    _recover(parent / name, locate(parent / found["name"]))


def require_results(folder: Path) -> None:
    """Check that a folder holds the results of a run, also after a kill while it was replaced.

    Raises:
        ConfigError: It is not a run folder.
    """
    if not is_run_folder(folder):
        recover(folder)
    require_run_folder(folder)


def _recover(path: Path, target: Target) -> None:
    staged = claim(path)
    if staged is None:
        if is_without_owner(path) and _is_own_folder(path):  # of an earlier version
            _keep_model(path, target)
            shutil.rmtree(path, ignore_errors=True)
        return
    try:
        state, _ = _read_state(path)
        # The folder may have come with files of a stranger, and the target may be a link.
        if state and not staged.was_made_here():
            raise FileExistsError("another machine made it")
        if state == _FITTED:
            _keep_model(path / RUN, target)
        elif state:
            publish(path, target)
            logger.warning("%s: completed the results of a run that was killed", target.folder)
    except OSError as error:
        logger.warning("%s is left of a run that was killed: %s", path, error)
        staged.release()
        return
    staged.remove()


def _restore_renamed(parent: Path, names: list[str], target: Target) -> None:
    """Undo or complete the two renames of an earlier version that was killed in between."""
    for name in names:
        if not (name.endswith(".old") and target.is_staging(name)):
            continue
        old, new = parent / name, parent / f"{name.removesuffix('.old')}.new"
        if not _is_own_folder(old):
            continue
        if not target.folder.exists():
            # The old folder was renamed once the new one was complete.
            is_complete = _is_own_folder(new) and is_run_folder(new)
            (new if is_complete else old).rename(target.folder)
            logger.warning("%s: restored after a run that was killed", target.folder)
        if old.is_dir():
            _keep_others(old, target)
            shutil.rmtree(old, ignore_errors=True)


def _is_own_folder(path: Path) -> bool:
    """Return whether a path is a folder of this user, which holds what a run writes; no link."""
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return False
        names = set(os.listdir(path))
    except OSError:
        return False
    # A folder of the user may have a name of this form as well.
    return not names or not names.isdisjoint({*OURS, RUN, _OLD, _STATE})


def _keep_model(run: Path, target: Target) -> None:
    if (run / MODEL).is_dir():
        path = keep(run, target, UNFINISHED)
        logger.warning(
            "%s has the fitted model of a run that was killed before its results were complete. "
            "Delete it if you do not need it",
            path,
        )


def _replace_contents(staged: Path, target: Target, state: str) -> None:
    run, old = staged / RUN, staged / _OLD
    if state == _MOVING_NEW:
        return finish_contents(run, target.folder)
    _write_state(staged, _MOVING_OLD)
    return replace_contents(
        run,
        target.folder,
        old,
        ours=OURS,
        moved_old=lambda: _write_state(staged, _MOVING_NEW),
    )


def _keep_others(previous: Path, target: Target) -> None:
    try:
        keep_others(previous, target.folder, ours=OURS)
    except OSError as error:
        path = keep(previous, target, PREVIOUS)
        logger.warning("files beside the earlier results are now in %s: %s", path, error)


def _write_state(staged: Path, state: str, inode: int = 0) -> None:
    path = staged / f"{_STATE}.part"
    path.write_text(f"{inode} {state}")
    sync(path)
    path.replace(staged / _STATE)
    sync(staged)


def _read_state(staged: Path) -> tuple[str, int]:
    try:
        inode, _, state = (staged / _STATE).read_text().partition(" ")
        return state, int(inode)
    except (OSError, ValueError):
        return "", 0
