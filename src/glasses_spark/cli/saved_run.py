"""Saved run: the session, the configuration and the model for work with an earlier run.

A run folder may come from a stranger. From its configuration only the sections ``data``,
``image``, ``split`` and ``evaluation`` and the seed are read. Spark's settings, which can
run any command, and the folders to write to come from the caller alone.
"""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from glasses_spark.cli.configuration import load_config, overrides_of
from glasses_spark.cli.session import command_session, import_training
from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError
from glasses_spark.runs.folder import CONFIG, MODEL
from glasses_spark.runs.remote_folder import local_configuration
from glasses_spark.runs.staging import require_results
from glasses_spark.runtime.location import local_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# End of the names of exported models.
ONNX_SUFFIX: Final = ".onnx"


@contextmanager
def session_for_run(location: str, arguments: Namespace) -> Iterator[tuple[SparkSession, Config]]:
    """Provide a session and the configuration for work with the model of a run.

    Args:
        location: Run folder, or its URI.
        arguments: The command's arguments.

    Yields:
        The session and the configuration.

    Raises:
        ConfigError: The location is not a run folder, or a key or value is wrong.
    """
    if local_folder(location) is not None:
        config = configuration_of(location, arguments)
        with command_session(config, arguments, imports=import_training) as spark:
            yield spark, config
        return
    # Only a running Spark can read a run folder at a URI.
    with command_session(load_config(arguments), arguments, imports=import_training) as spark:
        with local_configuration(spark, location) as saved:
            config = _config_for(saved, arguments)
        yield spark, config


def configuration_of(location: str, arguments: Namespace) -> Config:
    """Return the configuration for work with the model of a run on this machine.

    Args:
        location: Run folder.
        arguments: The command's arguments.

    Raises:
        ConfigError: The location is not a run folder, or a key or value is wrong.
    """
    folder = local_folder(location)
    if folder is None:
        raise ConfigError(f"{location}: expected a run folder on this machine, found a URI")
    require_results(folder)
    return _config_for(folder / CONFIG, arguments)


def scorer_settings(arguments: Namespace) -> tuple[Config, float | None]:
    """Return the configuration for scoring without Spark, and the threshold.

    Args:
        arguments: The command's arguments; ``model`` is a run folder or an exported file.

    Returns:
        The configuration, and the threshold; None for that of the model.

    Raises:
        ConfigError: As for ``configuration_of``.
    """
    if not arguments.model.endswith(ONNX_SUFFIX):
        config = configuration_of(arguments.model, arguments)
        return config, config.evaluation.threshold
    config = load_config(arguments)
    is_set = any(item.startswith("evaluation.threshold=") for item in arguments.set)
    return config, config.evaluation.threshold if is_set or arguments.config else None


def model_location(location: str) -> str:
    """Return the location of a run's model for Spark.

    Args:
        location: Run folder, or its URI.
    """
    folder = local_folder(location)
    # Not URL-encoded: Hadoop takes a URI literally.
    root = location.rstrip("/") if folder is None else f"file:{folder.absolute()}"
    return f"{root}/{MODEL}"


def _config_for(saved: Path, arguments: Namespace) -> Config:
    """Return the configuration for work with the model of a run.

    The size of the model's input, the split and the seed are always those of the run: they
    determine which images the model was trained on.
    """
    of_run = Config.from_saved_run(saved)
    if arguments.config:
        config = load_config(arguments)
    else:
        config = of_run.override(overrides_of(arguments))
    run = dataclasses.replace(config.run, seed=of_run.run.seed)
    return dataclasses.replace(config, image=of_run.image, split=of_run.split, run=run)
