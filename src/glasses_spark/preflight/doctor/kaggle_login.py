"""Credentials: whether Kaggle's client would find one; what it is, is never shown."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from glasses_spark.preflight.doctor.check import OK, WARNING, Check

GET_ONE: Final = (
    "Run `kaggle auth login`, or make a token at https://www.kaggle.com/settings/api and put it "
    "into ~/.kaggle/access_token or the variable KAGGLE_API_TOKEN"
)

_NAME: Final = "Kaggle credential"
_WANTED: Final = "one, to download the images from Kaggle"


def check_kaggle(
    environment: Mapping[str, str] = os.environ, *, home: Path | None = None, needed: bool
) -> Check:
    """Look for a credential where Kaggle's client looks, in its order.

    Args:
        environment: The variables of this process.
        home: The user's home folder; None for this user's.
        needed: Whether there are still images to be downloaded.

    Returns:
        The check, a warning at most: who has the images needs no credential.
    """
    home = home or Path.home()
    if environment.get("KAGGLE_API_TOKEN"):
        return Check(_NAME, OK, "in the variable KAGGLE_API_TOKEN", _WANTED)
    for path in (home / ".kaggle" / "access_token", home / ".kaggle" / "access_token.txt"):
        if path.is_file():
            return _of_file(path, "" if _text(path).strip() else "it is empty")
    if environment.get("KAGGLE_USERNAME") and environment.get("KAGGLE_KEY"):
        return Check(_NAME, OK, "in the variables KAGGLE_USERNAME and KAGGLE_KEY", _WANTED)
    named = environment.get("KAGGLE_CONFIG_DIR")
    folders = [Path(named)] if named else [home / ".kaggle", home / ".config" / "kaggle"]
    for folder in folders:
        path = folder / "kaggle.json"
        if path.is_file():
            return _of_file(path, _trouble(path))
    login = home / ".kaggle" / "credentials.json"
    if login.is_file():
        return _of_file(login, "")
    if needed:
        return Check(_NAME, WARNING, "none", _WANTED, GET_ONE)
    return Check(_NAME, OK, "none, and none needed: the images are there", _WANTED)


def _of_file(path: Path, trouble: str) -> Check:
    if trouble:
        return Check(_NAME, WARNING, f"{path}: {trouble}", _WANTED, GET_ONE)
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        found = f"{path}, which other users can read"
        return Check(_NAME, WARNING, found, f"{_WANTED}, for you alone", f"chmod 600 {path}")
    return Check(_NAME, OK, f"in {path}", _WANTED)


def _trouble(path: Path) -> str:
    try:
        content = json.loads(_text(path))
    except ValueError:
        return "it is not JSON"
    keys = ("username", "key")
    missing = [key for key in keys if not (isinstance(content, dict) and content.get(key))]
    return f"it has no {' and no '.join(missing)}" if missing else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
