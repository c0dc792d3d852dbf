"""Class archive: the classes that Spark's JVM has loaded, kept for a quicker start of the next.

Java calls it application class-data sharing (JEP 350). To load and check the classes of
Spark anew takes a JVM some 4 seconds of computing, spread over its first minute; from an
archive it maps them. The second JVM that does a whole run writes the archive when it ends,
after the run's own end, and starts some 4 seconds later for it, which a machine that does no
more than one run is spared. Java itself checks that an archive fits its version and the jars.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from glasses_spark.runtime.java import Java, cache_folder

# Set to 0: archives are neither written nor used.
VARIABLE: Final = "GLASSES_SPARK_CLASS_ARCHIVE"

# What does not fit is left out without a word: the JVM then starts as without an archive.
_QUIET: Final = "-Xlog:cds*=off"


def archive_options(java: Java, jars: Path, *, write: bool) -> list[str]:
    """Give the options with which a JVM uses the archive, or writes it.

    Args:
        java: The Java that starts, through the launcher of ``java.launcher_home``, which
            gives a new archive its name when it is whole.
        jars: Folder of Spark's jars.
        write: Whether a JVM without an archive writes one, if it is not the first: where
            it will do so much that others find their classes in it.

    Returns:
        Options for ``spark.driver.extraJavaOptions``; none where there is nothing to use
        or to write.
    """
    if os.environ.get(VARIABLE) == "0":
        return []
    archive = archive_path(java, jars)
    if any(character.isspace() for character in str(archive)):
        return []  # Spark takes the options apart at blanks
    if archive.is_file():
        return [f"-XX:SharedArchiveFile={archive}", _QUIET]
    if not write:
        return []
    seen = archive.with_suffix(".seen")
    try:
        if not seen.exists():
            seen.parent.mkdir(parents=True, exist_ok=True)
            seen.touch()
            return []
    except OSError:
        return []
    # Of this process: two that start at once do not meet.
    return [f"-XX:ArchiveClassesAtExit={archive}.{os.getpid()}", _QUIET]


def archive_path(java: Java, jars: Path) -> Path:
    """Name the archive of a Java and a set of jars, in the user's cache folder."""
    parts = [str(java.home), java.version]
    for jar in sorted(jars.glob("*.jar")):
        status = jar.stat()
        parts.append(f"{jar} {status.st_size} {status.st_mtime_ns}")
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache_folder() / "classes" / f"{name}.jsa"
