"""Class archive: the Java classes that Spark's JVM has loaded, stored for later JVMs.

This is application class-data sharing (JEP 350). Loading and verifying Spark's classes takes
a JVM about 4 seconds of CPU time, spread over its first minute. From an archive it maps them
into memory.

The second JVM that does a whole run writes the archive when it exits, after the results are
printed. This takes about 4 seconds, which a machine with a single run is spared. Java itself
checks that an archive fits its version and the jars.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from glasses_spark.runtime.java import Java, cache_folder
from glasses_spark.runtime.startup import Optimization, is_enabled

# A JVM ignores an archive that does not fit. Without this it would print a warning.
_QUIET: Final = "-Xlog:cds*=off"


def archive_options(java: Java, jars: Path, *, write: bool) -> list[str]:
    """Return the options with which a JVM uses the archive, or writes it.

    Args:
        java: The Java to start, through the launcher of ``java.launcher_home``, which
            renames a complete archive to its final name.
        jars: Folder of Spark's jars.
        write: Whether a JVM without an archive may write one. For work that loads most of
            the classes that other work needs.

    Returns:
        Options for ``spark.driver.extraJavaOptions``; empty if there is nothing to use or
        to write.
    """
    if not java.shares_classes or not is_enabled(Optimization.CLASS_ARCHIVE):
        return []
    try:
        archive = archive_path(java, jars)
    except OSError:
        return []  # there is no cache folder
    if any(character.isspace() for character in str(archive)):
        return []  # Spark splits the options at white space
    if archive.is_file():
        return [f"-XX:SharedArchiveFile={archive}", _QUIET]
    if not write or not _has_run_before(archive):
        return []
    # With the process id: two JVMs that exit at once write two files.
    return [f"-XX:ArchiveClassesAtExit={archive}.{os.getpid()}", _QUIET]


def archive_path(java: Java, jars: Path) -> Path:
    """Return the path of the archive for a Java and a set of jars, in the cache folder."""
    parts = [str(java.home), java.version]
    for jar in sorted(jars.glob("*.jar")):
        status = jar.stat()
        parts.append(f"{jar} {status.st_size} {status.st_mtime_ns}")
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache_folder() / "classes" / f"{name}.jsa"


def _has_run_before(archive: Path) -> bool:
    """Return whether this is not the first run, and record it; False if it cannot be recorded."""
    marker = archive.with_suffix(".seen")
    try:
        if marker.exists():
            return True
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError:
        pass
    return False
