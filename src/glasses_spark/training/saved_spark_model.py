"""Saved Spark model: a Keras model in a file of Elephas' ``SparkModel``."""

from __future__ import annotations

import json
import uuid
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
from pyspark.sql import SparkSession

from glasses_spark.errors import ScoringError
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.elephas import SparkMLlibModel, SparkModel
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.owned_folder import owned_folder
from glasses_spark.runtime.replaced_file import replaced_file
from glasses_spark.scoring.damaged_file import damage_reported
from glasses_spark.scoring.file_names import HDF5, KERAS, file_to_write
from glasses_spark.scoring.model_file import ELEPHAS_CONFIG
from glasses_spark.scoring.one_file import open_h5
from glasses_spark.training.optimizers import first_line

# The Spark model imports this module.
if TYPE_CHECKING:
    from glasses_spark.training.spark_model import GlassesSparkModel

# Entry of a Keras file, which Keras itself does not read.
_ENTRY: Final = "glasses_spark_model.json"
_LARGEST_ENTRY: Final = 1_000_000

_SUFFIXES: Final = (*HDF5, KERAS)


def save_spark_model(model: GlassesSparkModel, file_name: str) -> None:
    """Save a model to a local file; ``.h5`` files are read by Elephas as well."""
    path = file_to_write(file_name)
    if path is None:
        raise ScoringError(f"{file_name}: expected a file that ends in .keras or .h5")
    # The names of Elephas' classes, which its loader looks for.
    kind = SparkMLlibModel if isinstance(model, SparkMLlibModel) else SparkModel
    content = json.dumps({"class_name": kind.__name__, "config": model.get_config()})
    try:
        with replaced_file(path) as part:
            with _quiet():
                model.master_network.save(part)
            if path.suffix == KERAS:
                with zipfile.ZipFile(part, "a") as archive:
                    archive.writestr(_ENTRY, content)
            else:
                with h5py.File(part, mode="a") as file:
                    file.attrs[ELEPHAS_CONFIG] = content
    except OSError as error:
        raise ScoringError(f"{file_name} cannot be written: {error}") from error


def save_to_hadoop(model: GlassesSparkModel, file_name: str, *, overwrite: bool) -> None:
    """Save a model to a path or URI of Spark's file systems."""
    spark = SparkSession.builder.getOrCreate()
    with owned_folder("model") as folder:
        path = Path(folder, "model").with_suffix(_suffix_of(file_name))
        save_spark_model(model, str(path))
        try:
            if overwrite and hadoop.exists(spark, file_name):
                _replace(spark, path, file_name)
            else:
                hadoop.put(spark, path, file_name)
        except FileExistsError:
            raise ScoringError(
                f"{file_name} exists already. Use another path, or overwrite=True"
            ) from None
        except hadoop.error_types() as error:
            reason = hadoop.reason_of(error)
            raise ScoringError(f"{file_name} cannot be written: {reason}") from error


def load_spark_model(
    file_name: str,
    from_hadoop: bool = False,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
) -> GlassesSparkModel:
    """Load a `GlassesSparkModel` or `GlassesSparkMLlibModel`, saved here or by Elephas.

    Args:
        file_name: A ``.keras`` or ``.h5`` file. One that Keras has saved gives a
            `GlassesSparkModel` with the default settings.
        from_hadoop: Whether ``file_name`` is a path or URI of Spark's file systems.
        custom_objects: Classes and functions that the model refers to by name.
        safe_mode: Whether to refuse a ``Lambda`` layer, whose code would run.

    Raises:
        ScoringError: The file is missing, or contains no compiled model.
    """
    with (
        _local_file(file_name, from_hadoop=from_hadoop) as path,
        damage_reported(file_name),
    ):
        if h5py.is_hdf5(path):
            with open_h5(path):  # refuses references to other files, which Keras would follow
                pass
        network = _load_keras(path, file_name, custom_objects, safe_mode=safe_mode)
        class_name, config = _read_config(path, file_name)
    if not network.compiled:
        raise ScoringError(
            f"{file_name}: expected a compiled model, got one without a loss. Compile it and "
            "pass it to GlassesSparkModel"
        )
    # Imported here because both import this module.
    from glasses_spark.training.mllib_model import GlassesSparkMLlibModel
    from glasses_spark.training.spark_model import GlassesSparkModel

    is_mllib = class_name == SparkMLlibModel.__name__
    kind = GlassesSparkMLlibModel if is_mllib else GlassesSparkModel
    return kind(network, custom_objects=custom_objects, safe_mode=safe_mode, **config)


def _load_keras(
    path: Path, file_name: str, custom_objects: Mapping[str, Any] | None, *, safe_mode: bool
) -> Any:
    keras = import_keras()
    try:
        with (
            warnings.catch_warnings(),
            keras.utils.custom_object_scope(dict(custom_objects or {})),
        ):
            # Keras says so of an optimizer that has not trained yet and has no state.
            warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
            return keras.saving.load_model(path, safe_mode=safe_mode)
    except Exception as error:
        raise ScoringError(
            f"{file_name}: Keras cannot load this model: {first_line(error)}"
        ) from error


def _read_config(path: Path, file_name: str) -> tuple[str, dict[str, Any]]:
    """Return Elephas' name of the class, and the arguments of its constructor."""
    if path.suffix == KERAS:
        with zipfile.ZipFile(path) as archive:
            if _ENTRY not in archive.namelist():
                return "", {}
            # A bounded read: the size in a zip file's directory may be wrong.
            with archive.open(_ENTRY) as entry:
                stored: Any = entry.read(_LARGEST_ENTRY)
    else:
        with open_h5(path) as file:
            stored = file.attrs.get(ELEPHAS_CONFIG)
    if stored is None:
        return "", {}
    try:
        content = json.loads(stored)
        return str(content["class_name"]), dict(content["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ScoringError(
            f"{file_name}: the configuration is malformed: {first_line(error)}"
        ) from error


def _suffix_of(file_name: str) -> str:
    suffix = next((each for each in _SUFFIXES if file_name.endswith(each)), None)
    if suffix is None:
        raise ScoringError(f"{file_name}: expected a file that ends in .keras or .h5")
    return suffix


def _replace(spark: SparkSession, path: Path, file_name: str) -> None:
    """Replace a file, which stays until the new one is complete."""
    parent, slash, name = file_name.rpartition("/")
    part = f"{parent}{slash}.{uuid.uuid4().hex[:8]}.{name}"
    try:
        hadoop.put(spark, path, part)
        hadoop.delete(spark, file_name)
        hadoop.move(spark, part, file_name)
    except BaseException:
        # Otherwise it is the only copy.
        if hadoop.exists(spark, file_name):
            hadoop.delete(spark, part)
        raise


@contextmanager
def _local_file(file_name: str, *, from_hadoop: bool) -> Iterator[Path]:
    """Yield the path of a file on this machine, of a temporary copy if it is elsewhere."""
    suffix = _suffix_of(file_name)
    if not from_hadoop:
        if not Path(file_name).is_file():
            raise ScoringError(f"{file_name}: expected a saved model, but the file does not exist")
        yield Path(file_name)
        return
    spark = SparkSession.builder.getOrCreate()
    with owned_folder("model") as folder:
        path = Path(folder, "model").with_suffix(suffix)
        try:
            hadoop.get(spark, file_name, path)
        except hadoop.error_types() as error:
            reason = hadoop.reason_of(error)
            raise ScoringError(
                f"{file_name}: expected a saved model, but it cannot be read: {reason}"
            ) from error
        yield path


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out Keras' advice against HDF5, which Elephas needs."""
    import absl.logging

    before = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.ERROR)
    try:
        yield
    finally:
        absl.logging.set_verbosity(before)
