"""Nameless user: a process whose user id has no entry in the user database.

Containers are started with any user id. Java then has ``?`` as name and home folder of the
user, and Hadoop refuses to log in a user without a name.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from typing import Any, Final

# Variables that name a user, in the order in which they count. The first is Hadoop's.
_NAMES: Final = ("HADOOP_USER_NAME", "SPARK_USER", "LOGNAME", "USER")

_LOGIN: Final = "org.apache.hadoop.security.UserGroupInformation"


def user_name() -> str:
    """Return a name for the user of this process, if the system knows none; else empty."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        given = (os.environ.get(variable) for variable in _NAMES)
        return next((name for name in given if name), f"uid-{os.getuid()}")
    return ""


def user_options() -> list[str]:
    """Return the options of a JVM with the home folder, which Java looks for in the database."""
    if not user_name():
        return []
    home = os.environ.get("HOME", "")
    # Spark splits the options at white space.
    if not os.access(home, os.W_OK) or len(home.split()) != 1:
        home = tempfile.gettempdir()
    return [f"-Duser.home={home}"]


def log_in(jvm: Any) -> None:
    """Log a user without a name in to Hadoop, before anything in a JVM asks for the user."""
    name = user_name()
    if name:
        login = getattr(jvm, _LOGIN)
        login.setLoginUser(login.createRemoteUser(name))
