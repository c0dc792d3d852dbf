"""Place: the folders and variables with which a process starts Spark, checked before."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glasses_spark.errors import SetupError

CURRENT: Final = "Current folder"
TEMPORARY: Final = "Temporary folder"
LOCAL: Final = "Spark's local folder"
SUBMIT: Final = "PYSPARK_SUBMIT_ARGS"
NAMES: Final = (CURRENT, TEMPORARY, LOCAL, SUBMIT)

_SHELL: Final = "pyspark-shell"

# The JVM's own, which does not follow TMPDIR.
_JAVA_TEMPORARY: Final = "/tmp"
_JAVA_OPTION: Final = re.compile(r"-Djava\.io\.tmpdir=(\S+)")


@dataclass(frozen=True)
class Defect:
    """Something that keeps Spark from starting, or from working.

    Attributes:
        name: One of `NAMES`.
        found: What was found.
        wanted: What Spark needs.
        advice: What to do.
    """

    name: str
    found: str
    wanted: str
    advice: str


def find_defects(
    conf: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Iterator[Defect]:
    """Yield what is wrong with the folders of this process.

    Args:
        conf: Settings of Spark by their full names.
        environment: Environment variables.
    """
    if not has_current_folder():
        yield Defect(CURRENT, "it was removed", "a folder that exists", "Change to another one: cd")
        return  # the others may be relative to it
    current = os.getcwd()
    if reason := _cannot_write(current):
        yield Defect(
            CURRENT,
            f"{current} cannot be written ({reason})",
            "permission to write: Spark creates a folder artifacts there",
            "Start in another folder, with absolute paths",
        )
    try:
        tempfile.gettempdir()
    except OSError:
        yield Defect(
            TEMPORARY,
            "none of TMPDIR, /tmp, /var/tmp and the current folder can be written",
            "a folder for temporary files",
            "Set TMPDIR to a folder that can be written, and free some space on its disk",
        )
        return
    java = _java_temporary(conf, environment)
    if reason := _cannot_write(java) if os.path.isdir(java) else "no such folder":
        yield Defect(
            TEMPORARY,
            f"{java}, that of Java, cannot be written ({reason})",
            "a folder for temporary files of the JVM",
            "Set JAVA_TOOL_OPTIONS=-Djava.io.tmpdir=FOLDER",
        )
    try:
        shlex.split(environment.get(SUBMIT, ""))
    except ValueError as error:
        yield Defect(SUBMIT, f"{environment[SUBMIT]} ({error})", "arguments", "Correct or unset it")
    if "CONTAINER_ID" in environment:
        return  # YARN gives its containers their own local folders
    name, folders = _local_folders(conf, environment, java)
    reasons = [f"{folder} ({_cannot_write(folder)})" for folder in folders if _cannot_write(folder)]
    if len(reasons) == len(folders):
        yield Defect(
            LOCAL,
            f"{name}: cannot write {', '.join(reasons)}",
            "a folder for the blocks of Spark and the rows of the workers",
            f"Set {name} to a folder that can be created and written",
        )


def has_current_folder() -> bool:
    """Return whether the current folder exists; somebody may have removed it meanwhile."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def require_place(conf: Mapping[str, str]) -> None:
    """Refuse to start Spark where it cannot work.

    Args:
        conf: Settings of Spark by their full names.

    Raises:
        SetupError: The current folder or a folder for temporary files is missing or cannot be
            written, or a variable is malformed.
    """
    for defect in find_defects(conf):
        name = defect.name if defect.name in (LOCAL, SUBMIT) else defect.name.lower()
        raise SetupError(
            f"Spark cannot start: {name}: {defect.found}, expected {defect.wanted}. {defect.advice}"
        )


def complete_submit_arguments() -> None:
    """Name PySpark's shell at the end of ``PYSPARK_SUBMIT_ARGS``, if the user has left it out."""
    given = os.environ.get(SUBMIT)
    if given is not None and _SHELL not in shlex.split(given):
        os.environ[SUBMIT] = f"{given} {_SHELL}".strip()


def _java_temporary(conf: Mapping[str, str], environment: Mapping[str, str]) -> str:
    # The last one counts, and Spark's options come after that of the variable.
    options = f"{environment.get('JAVA_TOOL_OPTIONS', '')} " + " ".join(
        conf.get(f"spark.driver.{name}", "") for name in ("defaultJavaOptions", "extraJavaOptions")
    )
    given: list[str] = _JAVA_OPTION.findall(options)
    return given[-1].strip("'\"") if given else _JAVA_TEMPORARY


def _local_folders(
    conf: Mapping[str, str], environment: Mapping[str, str], java: str
) -> tuple[str, list[str]]:
    """Return where Spark's local folders are set, and the folders; the variable counts first."""
    variable, key = "SPARK_LOCAL_DIRS", "spark.local.dir"
    given = environment.get(variable)
    name = variable if given or key not in conf else key
    folders = (given or conf.get(key, java)).split(",")
    return name, [folder.strip() for folder in folders if folder.strip()] or [java]


def _cannot_write(folder: str) -> str:
    """Return why nothing can be created at a path of a folder; empty if it can."""
    path = Path(folder).absolute()
    existing = next(parent for parent in (path, *path.parents) if os.path.exists(parent))
    try:
        # A real try: the permissions do not tell of full or read-only disks.
        os.rmdir(tempfile.mkdtemp(prefix=".glasses-spark-", dir=existing))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
