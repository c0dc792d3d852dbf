"""Hidden modules: files of the user with the names of modules that this package imports.

Python looks into the folder of the program first, where ``keras.py`` hides the package of that
name, and ``random.py`` a module of Python that numpy imports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from glasses_spark.errors import SetupError

# Installed as folders, so a file of the name is another module.
_PACKAGES: Final = frozenset(
    [
        "cryptography",
        "cv2",
        "elephas",
        "google",
        "grpc",
        "h5py",
        "keras",
        "kornia_rs",
        "numpy",
        "pandas",
        "py4j",
        "pyarrow",
        "pyspark",
        "rich",
        "tensorflow",
    ]
)


def hiding_files(search_path: Sequence[str] | None = None) -> list[str]:
    """Return the files that hide a module of Python or a package that this one imports.

    Args:
        search_path: Folders in which Python looks for modules; by default ``sys.path``.
    """
    found = []
    python = os.path.dirname(os.__file__)
    for entry in sys.path if search_path is None else search_path:
        try:
            if os.path.abspath(entry) == python:
                break  # installed packages follow
            names = sorted(os.listdir(entry or "."))
        except OSError:  # an archive, or no folder
            continue
        found += [os.path.abspath(os.path.join(entry, name)) for name in names if _hides(name)]
    return found


@contextmanager
def imports_explained() -> Iterator[None]:
    """Name the files that hide a module, if an import in the block fails.

    Raises:
        SetupError: An import failed, and there are such files.
    """
    try:
        yield
    except SetupError:
        raise
    except Exception as error:
        files = hiding_files()
        if not files:
            raise
        raise SetupError(
            f"{type(error).__name__}: {error}. {' and '.join(files)} may be imported in place of "
            "the module of that name that is meant. Rename it"
        ) from error


def _hides(name: str) -> bool:
    module, suffix = os.path.splitext(name)
    return suffix == ".py" and (module in sys.stdlib_module_names or module in _PACKAGES)
