"""Check the folders in which a run starts, and the user's files that hide modules."""

from __future__ import annotations

from collections.abc import Mapping

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check
from glasses_spark.runtime.hidden_modules import hiding_files
from glasses_spark.runtime.nameless_user import user_name
from glasses_spark.runtime.place import NAMES, find_defects, has_current_folder


def check_place(conf: Mapping[str, str]) -> list[Check]:
    """Check the current folder and those for temporary files, the user and the search path.

    Args:
        conf: Settings of Spark by their full names.
    """
    defects = {defect.name: defect for defect in find_defects(conf)}
    checks = [
        Check(name, FAILED, defect.found, defect.wanted, defect.advice)
        for name, defect in defects.items()
    ]
    if not has_current_folder():
        return checks  # the others may be relative to it
    checks += [
        Check(name, OK, "can be used", "what Spark can use")
        for name in NAMES
        if name not in defects
    ]
    return [*checks, check_user(), check_modules(hiding_files())]


def check_user() -> Check:
    """Report the name that Hadoop gets for a user whom the system does not know."""
    name, wanted = "User", "a user with an entry in the user database"
    given = user_name()
    if given:
        return Check(
            name,
            WARNING,
            f"no entry for this user id; Hadoop gets the name {given}",
            wanted,
            "To use another name, set HADOOP_USER_NAME",
        )
    return Check(name, OK, "has a name", wanted)


def check_modules(files: list[str]) -> Check:
    """Report files that hide modules, such as ``keras.py`` in a folder of ``PYTHONPATH``.

    Args:
        files: Result of ``hiding_files``.
    """
    name, wanted = "Search path", "no file with the name of a module of Python or a package"
    if files:
        return Check(
            name,
            WARNING,
            ", ".join(files),
            wanted,
            "Rename them if they are not meant to take the place of the modules",
        )
    return Check(name, OK, "hides no module", wanted)
