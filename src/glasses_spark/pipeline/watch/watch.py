"""Watch: scores each image that arrives in a folder once, by Spark's Structured Streaming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from glasses_spark.config.config import Config
from glasses_spark.errors import ScoringError
from glasses_spark.loading.images import open_images
from glasses_spark.pipeline.watch.announcements import Announcements
from glasses_spark.pipeline.watch.arrivals import Arrivals
from glasses_spark.pipeline.watch.batches import Batches
from glasses_spark.pipeline.watch.checkpoint import own_checkpoint
from glasses_spark.runtime.location import data_path, local_folder
from glasses_spark.runtime.signals import Signals
from glasses_spark.runtime.spark_errors import spark_errors

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

# Folder of the output with the state; readers skip it.
CHECKPOINT: Final = "_checkpoint"

_ARRIVALS: Final = "arrivals"
_STREAM: Final = "stream"

# Most files in one announcement: a batch has those of one. It is what a killed process does again.
_MOST_FILES: Final = 1000

# How often Spark looks for announcements: at most 2,000 files are scored in a second.
_TRIGGER: Final = "500 milliseconds"

# Seconds between two looks, at least.
_SOONEST: Final = 0.1


@dataclass(frozen=True)
class Timing:
    """When a watch looks, and when it ends.

    Attributes:
        interval: Seconds between looks at the folder, above 0.
        settle: Seconds without a change after which a file is complete, at least 0.
        once: Whether to end when all files that are there have been scored.
    """

    interval: float = 5.0
    settle: float = 2.0
    once: bool = False


@spark_errors(ScoringError, "the stream")
def watch_folder(
    spark: SparkSession,
    location: str,
    model: GlassesModel,
    output: str,
    config: Config,
    *,
    checkpoint: str = "",
    timing: Timing | None = None,
) -> None:
    """Score each image that arrives in a folder once, until a signal ends it.

    The output is a folder of Parquet files with the partition column ``batch``, and ``path``,
    ``probability`` (double), ``predicted_label`` (double) and ``error`` (string: why the image
    cannot be scored, else null). A watch that was killed goes on where it was.

    Args:
        spark: Running session.
        location: Folder, glob or URI of the images; ``data.glob`` selects their names.
        model: Model that scores.
        output: Folder or URI of the output.
        config: Size of the images, pattern of their names, and the threshold.
        checkpoint: Folder or URI of the state; empty for ``_checkpoint`` in the output.
        timing: When to look and when to end.

    Raises:
        ConfigError: The checkpoint is of another folder or model, or another process uses it.
        ImagesError: The location does not exist.
        ScoringError: The stream failed.
        SystemExit: SIGTERM or SIGHUP was received.
    """
    timing, glob = timing or Timing(), config.data.glob
    output = _folder(output)
    checkpoint = _folder(checkpoint) if checkpoint else f"{output}/{CHECKPOINT}"
    open_images(spark, location, glob=glob)  # must exist
    identity = {
        "FOLDER": data_path(spark, location),
        "data.glob": glob,
        "--model": model._trained().digest,
        "--output": output,
    }
    with own_checkpoint(spark, checkpoint, identity), Signals() as signals:
        announcements = Announcements(spark, f"{checkpoint}/{_ARRIVALS}")
        known = announcements.known()
        arrivals = Arrivals(spark, location, glob=glob, settle=timing.settle, known=known)
        batches = Batches(model, config, location, output)
        _stream(announcements, arrivals, batches, f"{checkpoint}/{_STREAM}", timing, signals)


def _folder(location: str) -> str:
    """Return a location for Hadoop, which knows neither ``~`` nor Python's current folder."""
    folder = local_folder(location)
    if folder is None:
        return location.rstrip("/")
    return f"file:{folder.expanduser().absolute()}"


def _stream(
    announcements: Announcements,
    arrivals: Arrivals,
    batches: Batches,
    checkpoint: str,
    timing: Timing,
    signals: Signals,
) -> None:
    query: StreamingQuery | None = None
    try:
        while True:
            found = arrivals.find()
            for start in range(0, len(found), _MOST_FILES):
                announcements.add(found[start : start + _MOST_FILES])
            if query is None:
                query = (
                    announcements.stream()
                    .writeStream.foreachBatch(batches)
                    .option("checkpointLocation", checkpoint)
                    .trigger(processingTime=_TRIGGER)
                    .start()
                )
            if timing.once and not arrivals.waiting:
                query.processAllAvailable()
                return
            signals.exit_if_received()
            # Soon again, for those that are about to be complete.
            soon = min(max(timing.settle / 2, _SOONEST), timing.interval)
            # PySpark's hint says whole seconds; it takes any number.
            seconds: Any = soon if arrivals.waiting else timing.interval
            query.awaitTermination(seconds)
            signals.exit_if_received()
    finally:
        if query is not None:
            query.stop()
