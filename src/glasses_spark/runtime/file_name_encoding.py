"""Encoding of file names in the JVM: UTF-8, whatever the locale of this process.

Java takes it from the locale at its start. In a locale that is not installed, or in that of C,
it is ASCII, and Java then finds no file with another character in its name. Options such as
``-Dsun.jnu.encoding=UTF-8`` have no effect on that (tried with Java 17 and 25).
"""

from __future__ import annotations

import ctypes
import locale
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_VARIABLE: Final = "LC_ALL"

# Names of a locale with UTF-8; most systems have the first.
_CANDIDATES: Final = ("C.UTF-8", "C.utf8", "en_US.UTF-8", "en_US.utf8")

# All categories in glibc (LC_ALL_MASK of locale.h).
_ALL_CATEGORIES: Final = 0x1FBF


@contextmanager
def utf8_file_names() -> Iterator[None]:
    """Let processes that start in the block use UTF-8 for the names of files.

    Their messages and formats are those of the locale of C if the locale has to be changed.
    """
    name = _replacement()
    if name is None:
        yield
        return
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def _replacement() -> str | None:
    """Return the name of a locale with UTF-8; None where the environment's own has it."""
    libc: Any = ctypes.CDLL(None)
    # On macOS names are always UTF-8, and musl has no other encoding.
    if sys.platform != "linux" or not hasattr(libc, "gnu_get_libc_version"):
        return None
    if _is_utf8(libc, ""):
        return None
    return next((name for name in _CANDIDATES if _is_utf8(libc, name)), None)


def _is_utf8(libc: Any, name: str) -> bool:
    """Return whether a locale is installed and has UTF-8; empty for that of the environment.

    Unlike ``locale.setlocale`` it does not change the locale of this process, which has
    other threads.
    """
    libc.newlocale.restype = ctypes.c_void_p
    libc.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    libc.nl_langinfo_l.restype = ctypes.c_char_p
    libc.nl_langinfo_l.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.freelocale.argtypes = [ctypes.c_void_p]
    found = libc.newlocale(_ALL_CATEGORIES, name.encode(), None)
    if not found:
        return False
    try:
        return bool(libc.nl_langinfo_l(locale.CODESET, found) == b"UTF-8")
    finally:
        libc.freelocale(found)
