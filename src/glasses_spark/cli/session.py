"""Commands: what each command of the command line does."""

from __future__ import annotations

import dataclasses
import gc
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError
from glasses_spark.runs import folder as run_folder
from glasses_spark.runs import remote_folder as run_place
from glasses_spark.runtime.interrupt import interruptible
from glasses_spark.runtime.location import local_folder
from glasses_spark.runtime.progress import BarProgress, Progress

# Whatever imports pyspark or TensorFlow is imported within the functions, so that
# a wrong call is refused at once, and pyspark only once the session is there:
# an external Spark, named by SPARK_HOME, brings its own.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def load_config(arguments: Namespace) -> Config:
    return Config.load(arguments.config, _overrides(arguments))


def _overrides(arguments: Namespace) -> list[str]:
    # Only some commands have the option.
    no_store = ["store.dir="] if getattr(arguments, "no_store", False) else []
    plots = ["run.plots=true"] if getattr(arguments, "plots", False) else []
    return [*arguments.set, *no_store, *plots]


@contextmanager
def session_for_run(location: str, arguments: Namespace) -> Iterator[tuple[SparkSession, Config]]:
    """Start Spark for work with the model of a run, and give the configuration for it.

    Spark's own settings come from the caller alone: a run folder may come from a stranger,
    and a setting of Spark can run any command.
    """
    folder = local_folder(location)
    if folder is not None:
        run_folder.require_run_folder(folder)
        config = _config_for(location, folder / run_folder.CONFIG, arguments)
        with command_session(config, arguments, meanwhile=import_training) as spark:
            yield spark, config
        return
    # Only a running Spark can read a run folder at a URI.
    with command_session(load_config(arguments), arguments, meanwhile=import_training) as spark:
        with run_place.configuration_of(spark, location) as saved:
            config = _config_for(location, saved, arguments)
        yield spark, config


def model_location(location: str) -> str:
    """Return where the model of a run lies, for Spark."""
    folder = local_folder(location)
    # Not encoded, as Hadoop takes a URI for a plain text.
    place = location.rstrip("/") if folder is None else f"file:{folder.absolute()}"
    return f"{place}/{run_folder.MODEL}"


def _config_for(location: str, saved: Path, arguments: Namespace) -> Config:
    """Return the configuration for work with the model of a run.

    What the model was made with stays: the size of its input, and the split with its seed,
    which tell which images it has seen.
    """
    made_with = Config.from_saved_run(saved)
    if arguments.config:
        config = load_config(arguments)
    else:
        config = made_with.override(_overrides(arguments))
    seed = dataclasses.replace(config.run, seed=made_with.run.seed)
    return dataclasses.replace(config, image=made_with.image, split=made_with.split, run=seed)


@contextmanager
def command_session(
    config: Config,
    arguments: Namespace,
    *,
    meanwhile: Callable[[], None],
    keep_classes: bool = False,
) -> Iterator[SparkSession]:
    from glasses_spark.runtime.session import spark_session

    level = "INFO" if arguments.debug else "WARN" if arguments.verbose else "ERROR"
    with (
        spark_session(
            master=config.spark.master or None,
            conf=config.spark.conf,
            ui=config.spark.ui,
            log_level=level,
            keep_classes=keep_classes,
            meanwhile=meanwhile,
        ) as spark,
        interruptible(spark),
    ):
        yield spark


def import_training() -> None:
    from glasses_spark.runtime.keras import collector_paused, import_bare_keras

    with collector_paused():
        import_bare_keras()
        import glasses_spark.pipeline.pipeline
        import glasses_spark.training.estimator  # noqa: F401
    # They stay as long as the process: no use to look for garbage in them again and again.
    gc.freeze()


def make_progress() -> Progress:
    return BarProgress() if sys.stderr.isatty() else Progress()


def local_location(location: str, key: str, why: str, option: str) -> str:
    """Return the path of a local place."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return parts.path
    if parts.scheme:
        raise ConfigError(f"{key} is {location}: {why}; name a local path with {option}")
    return location


@contextmanager
def open_output(path: str | None, *, option: str = "--out") -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        file = Path(path).open("w", newline="", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(f"{option}: cannot write {path}: {error.strerror}") from error
    with file:
        yield file
