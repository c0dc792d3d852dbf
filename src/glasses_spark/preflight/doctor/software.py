"""Software: Python, Java, and the packages that must work together; nothing is imported here."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from glasses_spark.errors import SetupError
from glasses_spark.preflight.doctor.check import FAILED, OK, Check, judged
from glasses_spark.runtime.java import WANTED as WANTED_JAVA
from glasses_spark.runtime.java import find_java

# Package, lowest version wanted, first version refused: as in pyproject.toml,
# which a test compares. The pairs that break each other silently come first.
PACKAGES: Final = (
    ("numpy", "1.26", "2"),
    ("pandas", "2.2", "3"),
    ("pyarrow", "15", "26"),
    ("pyspark", "4.0.0", "4.0.1"),
    ("elephas", "7.3.0", "7.3.1"),
    ("tensorflow", "2.19", "2.20"),
    ("keras", "3.14", "4"),
)

# Versions from which (lowest) or before which (None, highest) two packages do not work
# together, and what one sees then. pip accepts all of them.
PAIRS: Final = (
    (
        ("pyarrow", "26", None),
        ("numpy", None, "2"),
        "pyarrow refuses numpy 1 at import, and Spark says that PyArrow was not found",
    ),
    (
        ("pandas", "3", None),
        ("pyspark", None, "4.3"),
        "Spark before 4.3 does not know the types of pandas 3",
    ),
    (
        ("numpy", "2", None),
        ("elephas", None, "8"),
        "Elephas, and the TensorFlow that it asks for, are made for numpy 1",
    ),
    (
        ("numpy", "2", None),
        ("pandas", None, "2.2.2"),
        "this pandas was compiled for numpy 1 and fails at import",
    ),
)

OPENCV: Final = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)

# What this library builds on in Elephas: file, then the class or function, then what it has.
SEAMS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "ml_model.py": {
        "ElephasEstimator": ("_fit",),
        "ElephasTransformer": ("_transform",),
        "load_ml_estimator": (),
        "load_ml_transformer": (),
    },
    "parameter/factory.py": {
        "ClientServerFactory": ("_type", "get_factory", "create_client", "create_server"),
    },
    "parameter/server.py": {"BaseParameterServer": ("start", "stop")},
    "parameter/client.py": {"BaseParameterClient": ("get_parameters", "update_parameters")},
    "utils/model_utils.py": {
        "LossModelTypeMapper": (),
        "ModelType": (),
        "ModelTypeEncoder": (),
        "as_enum": (),
    },
}

REINSTALL: Final = "Install with the project's constraints: pip install -c constraints.txt -e ."
VersionOf = Callable[[str], str]


def check_software(version_of: VersionOf = importlib.metadata.version) -> list[Check]:
    """Look at all that must be installed.

    Args:
        version_of: Gives a package's installed version, or raises
            ``PackageNotFoundError``.
    """
    return [
        check_python(),
        check_java(),
        *check_packages(version_of),
        check_pairs(version_of),
        check_import("numpy and pyarrow together", "import numpy, pyarrow, pandas"),
        check_opencv(version_of),
        check_elephas(),
    ]


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check the Python that runs this.

    Args:
        version: Major, minor and patch number.

    Returns:
        The check; Elephas decides which versions it accepts.
    """
    return judged(
        "Python",
        (3, 11) <= version[:2] <= (3, 12),
        f"{'.'.join(map(str, version))} ({sys.executable})",
        "3.11 or 3.12",
        "Make the environment with one of these: PYTHON=/path/to/python3.12 ./run",
    )


def check_java() -> Check:
    """Check that there is a Java for Spark.

    Returns:
        The check, with the place where Java was found.
    """
    try:
        java = find_java()
    except SetupError as error:
        return Check("Java", FAILED, "none that Spark can use", WANTED_JAVA, str(error))
    return Check("Java", OK, f"{java.version} (from {java.source}: {java.home})", WANTED_JAVA)


def check_packages(version_of: VersionOf) -> list[Check]:
    """Check the packages whose versions depend on each other, without importing them.

    Args:
        version_of: As for ``check_software``.

    Returns:
        One check for each of ``PACKAGES``.
    """
    checks = []
    for name, lowest, refused in PACKAGES:
        found = _version(name, version_of)
        passed = found is not None and _numbers(lowest) <= _numbers(found) < _numbers(refused)
        wanted = f">= {lowest} and < {refused}"
        checks.append(judged(name, passed, found or "not installed", wanted, REINSTALL))
    return checks


def check_pairs(version_of: VersionOf) -> Check:
    """Check the pairs of packages that pip lets stand side by side and that do not work so.

    Args:
        version_of: As for ``check_software``.

    Returns:
        One check for all of ``PAIRS``.
    """
    broken = []
    for one, other, why in PAIRS:
        found = [(name, _version(name, version_of)) for name, _, _ in (one, other)]
        if all(
            version is not None and _is_within(version, lowest, below)
            for (_, version), (_, lowest, below) in zip(found, (one, other), strict=True)
        ):
            names = " with ".join(f"{name} {version}" for name, version in found)
            broken.append(f"{names}: {why}")
    return judged(
        "Packages as pairs",
        not broken,
        "; ".join(broken) or "none that break each other",
        "packages that work together",
        REINSTALL,
    )


def check_opencv(version_of: VersionOf = importlib.metadata.version) -> Check:
    """Check that OpenCV loads, in its build without windows, and only in that.

    Args:
        version_of: As for ``check_software``.

    Returns:
        The check; ``opencv-python`` needs libGL and overwrites the other build.
    """
    versions = {name: _version(name, version_of) for name in OPENCV}
    installed = [f"{name} {version}" for name, version in versions.items() if version]
    wanted = "opencv-python-headless alone"
    if len(installed) > 1:
        names = " ".join(name for name, version in versions.items() if version)
        return Check(
            "OpenCV",
            FAILED,
            " and ".join(installed),
            wanted,
            f"They overwrite each other's files: pip uninstall {names}; then "
            "pip install -c constraints.txt opencv-python-headless",
        )
    loads = check_import("OpenCV", "import cv2")
    found = installed[0] if installed and loads.ok else loads.found
    return Check("OpenCV", loads.verdict, found, wanted, loads.advice)


def check_elephas(folder: Path | None = None) -> Check:
    """Check that Elephas has what this library builds on, by reading its source.

    A patch release has renamed such things before. Importing Elephas would take seconds,
    as it brings TensorFlow.

    Args:
        folder: Where the package is; None looks for it.

    Returns:
        One check for all of ``SEAMS``.
    """
    name, wanted = "Elephas' interfaces", "those of elephas 7.3.0"
    if folder is None:
        spec = find_spec("elephas")
        if spec is None or spec.origin is None:
            return Check(name, FAILED, "no package elephas", wanted, REINSTALL)
        folder = Path(spec.origin).parent
    missing = [one for file, seams in SEAMS.items() for one in _missing(folder / file, seams)]
    count = sum(len(seams) for seams in SEAMS.values())
    found = f"no {', '.join(missing)} in {folder}" if missing else f"all {count} of them"
    return judged(name, not missing, found, wanted, REINSTALL)


def check_import(name: str, statement: str) -> Check:
    """Check that packages load, in a Python of their own: some crash instead of raising.

    Args:
        name: The name of the check.
        statement: The import to try.

    Returns:
        The check; a failure shows the last line of what Python said.
    """
    result = subprocess.run(
        [sys.executable, "-c", statement],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    if result.returncode == 0:
        return Check(name, OK, "loads", f"`{statement}` works")
    lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
    return Check(name, FAILED, lines[-1], f"`{statement}` works", REINSTALL)


def _missing(path: Path, seams: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Names of ``seams`` that the source does not define."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return list(seams)
    defined = {
        node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    missing = [name for name in seams if name not in defined]
    for name, members in seams.items():
        if name in defined:
            has = _members(defined[name])
            missing += [f"{name}.{member}" for member in members if member not in has]
    return missing


def _members(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    functions = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
    assigned = {
        target.id
        for one in node.body
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    }
    return functions | assigned


def _version(package: str, version_of: VersionOf) -> str | None:
    try:
        found = version_of(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    return found if found[:1].isdigit() else None


def _is_within(version: str, lowest: str | None, below: str | None) -> bool:
    numbers = _numbers(version)
    return (lowest is None or numbers >= _numbers(lowest)) and (
        below is None or numbers < _numbers(below)
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Give the leading whole numbers of a version: ``2.19.1rc1`` is (2, 19)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
