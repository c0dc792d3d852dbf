"""Check that Kaggle's client would find a credential, without showing it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from glasses_spark.datasets.kaggle.kaggle_archive import CREDENTIAL_HELP
from glasses_spark.preflight.doctor.check import OK, WARNING, Check

LOG_IN: Final = f"To log in, {CREDENTIAL_HELP}"

_NAME: Final = "Kaggle credential"
_WANTED: Final = "a credential to download the images from Kaggle"


def check_kaggle(
    environment: Mapping[str, str] = os.environ, *, home: Path | None = None, needed: bool
) -> Check:
    """Look for a credential in the places and the order of Kaggle's client.

    Args:
        environment: Environment variables.
        home: Home folder of the user; None for that of the current user.
        needed: Whether images have to be downloaded.

    Returns:
        The check. It never fails, because a user who has the images needs no credential.
    """
    home = home or Path(os.path.expanduser("~"))  # also for a user without one
    if environment.get("KAGGLE_API_TOKEN"):
        return Check(_NAME, OK, "in the variable KAGGLE_API_TOKEN", _WANTED)
    for path in (home / ".kaggle" / "access_token", home / ".kaggle" / "access_token.txt"):
        if path.is_file():
            return _check_file(path, "" if _read(path).strip() else "it is empty")
    if environment.get("KAGGLE_USERNAME") and environment.get("KAGGLE_KEY"):
        return Check(_NAME, OK, "in the variables KAGGLE_USERNAME and KAGGLE_KEY", _WANTED)
    configured = environment.get("KAGGLE_CONFIG_DIR")
    folders = [Path(configured)] if configured else [home / ".kaggle", home / ".config" / "kaggle"]
    for folder in folders:
        path = folder / "kaggle.json"
        if path.is_file():
            return _check_file(path, _find_defect(path))
    login = home / ".kaggle" / "credentials.json"
    if login.is_file():
        return _check_file(login, "")
    if needed:
        return Check(_NAME, WARNING, "none", _WANTED, LOG_IN)
    return Check(_NAME, OK, "none; not needed, because the images exist", _WANTED)


def _check_file(path: Path, defect: str) -> Check:
    if defect:
        return Check(_NAME, WARNING, f"{path}: {defect}", _WANTED, LOG_IN)
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        readable = f"{path}, which other users can read"
        return Check(_NAME, WARNING, readable, "a file that only you can read", f"chmod 600 {path}")
    return Check(_NAME, OK, f"in {path}", _WANTED)


def _find_defect(path: Path) -> str:
    try:
        content = json.loads(_read(path))
    except ValueError:
        return "it is not JSON"
    keys = ("username", "key")
    missing = [key for key in keys if not (isinstance(content, dict) and content.get(key))]
    return f"it has no {' and no '.join(missing)}" if missing else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
