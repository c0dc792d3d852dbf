"""Session of a command: Spark as the configuration and the options ask for it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from glasses_spark.config.config import Config
from glasses_spark.errors import SetupError
from glasses_spark.runtime.connect import uses_connect
from glasses_spark.runtime.interrupt import interruptible
from glasses_spark.runtime.keras_settings import require_tensorflow

# pyspark and TensorFlow are imported within the functions, so that a wrong call fails at
# once. An external Spark, named by SPARK_HOME, brings its own pyspark.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def command_session(
    config: Config,
    arguments: Namespace,
    *,
    imports: Callable[[], object],
    keep_classes: bool = False,
) -> Iterator[SparkSession]:
    """Provide the session of a command, and stop it afterwards.

    Args:
        config: Its ``spark`` section decides the master and the settings.
        arguments: The command's arguments, for the log level.
        imports: See ``build_session``.
        keep_classes: See ``build_session``.

    Raises:
        SetupError: The environment asks for Spark Connect, Spark does not start, or a cluster
            has no room for its executors.
    """
    from glasses_spark.runtime.executors import await_executors
    from glasses_spark.runtime.session import spark_session

    if uses_connect():
        raise SetupError(
            "SPARK_REMOTE is set, but a command needs a classic session. Unset it, or call the "
            "stages of GlassesPipeline from Python, which run under Spark Connect as well"
        )
    if imports is import_training:
        # Before Spark starts and lists the images.
        require_tensorflow()
    level = "INFO" if arguments.debug else "WARN" if arguments.verbose else "ERROR"
    with (
        spark_session(
            master=config.spark.master or None,
            conf=config.spark.conf,
            ui=config.spark.ui,
            log_level=level,
            keep_classes=keep_classes,
            imports=imports,
        ) as spark,
        interruptible(spark),
    ):
        await_executors(spark, timeout=config.spark.executor_timeout)
        yield spark


def import_preprocessing() -> None:
    """Import what decoding needs in the driver."""
    import glasses_spark.pipeline.pipeline  # noqa: F401


def import_training() -> None:
    """Import what training and scoring need in the driver."""
    from glasses_spark.runtime.garbage import collector_paused, freeze_objects
    from glasses_spark.runtime.keras import import_bare_keras

    with collector_paused():
        import_bare_keras()
        import glasses_spark.pipeline.pipeline
        import glasses_spark.training.estimator  # noqa: F401
    freeze_objects()
