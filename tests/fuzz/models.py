"""Fuzz targets of model files: ``keras-file`` and ``h5-file``."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import h5py
import numpy as np

from glasses_spark import load_ml_estimator, load_ml_transformer
from glasses_spark.runtime.keras_archive import pack_model
from glasses_spark.training.saved_spark_model import load_spark_model
from tests.fuzz.archives import changed_json, mutate
from tests.fuzz.target import Check, Target, refused
from tests.paths import ROOT
from tests.training.tiny import tiny_model

_SAVED: Final = ROOT / "tests" / "compatibility" / "saved_0b62211"


def keras_seeds() -> list[bytes]:
    """Return a file that Keras wrote, and one of ours with Params and history."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        load_ml_transformer(str(_SAVED / "model.h5")).save(str(path))
        ours = path.read_bytes()
    return [ours, pack_model(tiny_model())]


def h5_seeds() -> list[bytes]:
    """Return a fitted model and an estimator of an earlier version."""
    return [(_SAVED / name).read_bytes() for name in ("model.h5", "estimator.h5")]


@contextmanager
def keras_opened() -> Iterator[Check]:
    """Provide a check: the file is loaded as a model, or refused."""
    with _check_of("model.keras") as check:
        yield check


@contextmanager
def h5_opened() -> Iterator[Check]:
    """Provide a check: the file is loaded as a model or an estimator, or refused."""
    with _check_of("model.h5") as check:
        yield check


@contextmanager
def _check_of(name: str) -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name

        def check(data: bytes) -> None:
            path.write_bytes(data)
            refused(lambda: load_ml_transformer(str(path)).keras_model())
            refused(lambda: load_spark_model(str(path)))
            if path.suffix == ".h5":
                refused(lambda: load_ml_estimator(str(path)))

        yield check


KERAS_FILE: Final = Target("keras-file", keras_seeds, keras_opened, mutate)


def mutate_h5(data: bytes, chance: Random) -> bytes:
    """Change an attribute or a data set of an HDF5 file, which stays a legal one."""
    content = io.BytesIO(data)
    try:
        with h5py.File(content, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            holder = file[chance.choice(names)] if names and chance.randrange(2) else file
            if holder.attrs and chance.randrange(4):
                name = chance.choice(sorted(holder.attrs))
                text = holder.attrs[name]
                changed = changed_json(str(text).encode(), chance)
                holder.attrs[name] = changed.decode("utf-8", "replace").replace("\0", "")
            elif names:
                name = chance.choice(names)
                del file[name]
                if chance.randrange(2):
                    file[name] = np.zeros(chance.choice(((), (0,), (3, 2), (7,))))
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        return data
    return content.getvalue()


# libhdf5 itself may not end on a damaged file: the input is a legal file with other contents.
H5_FILE: Final = Target("h5-file", h5_seeds, h5_opened, mutate_h5, any_bytes=False)
