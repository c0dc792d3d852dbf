"""Batches: arrivals of one micro-batch of a stream, scored and written exactly once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from glasses_spark.columns import CONTENT, ERROR, ID, LABEL, PATH, PREDICTED_LABEL
from glasses_spark.config.config import Config
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.metrics import add_predicted_label
from glasses_spark.evaluation.scores import probability_column
from glasses_spark.loading.images import IMAGES_PER_TASK
from glasses_spark.pipeline.score import with_runtime
from glasses_spark.pipeline.watch.announcements import parse_arrival
from glasses_spark.pipeline.watch.arrivals import Arrival
from glasses_spark.preprocessing.decoding.batches import UNREADABLE
from glasses_spark.preprocessing.pixels import to_pixels
from glasses_spark.printable import printable
from glasses_spark.reasons import reason_of
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.location import is_on_disk, spark_path
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.scoring.invalid_rows import KEEP

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

logger = logging.getLogger(__name__)

PROBABILITY: Final = "probability"

# Partition column of the output, and its folder while it is written, which readers skip.
_BATCH: Final = "batch"
_UNFINISHED: Final = "_unfinished"

# Of the files that cannot be scored, these are named in the log.
_EXAMPLES: Final = 3


class Batches:
    """Scores the batches of a stream of announcements; the function of ``foreachBatch``.

    Spark gives a batch again if the process ended before Spark has noted it. A batch appears in
    the output by one rename, and stays as it is if it is given again. So each file is in the output
    once, also for readers without Spark.

    Args:
        model: Model that scores.
        config: Size of the images, and the threshold.
        location: Folder, glob or URI of the images.
        output: Folder or URI of the output.
    """

    def __init__(self, model: GlassesModel, config: Config, location: str, output: str) -> None:
        self._model = with_runtime(model, config)
        # An image that cannot be decoded has no pixels.
        self._model.setHandleInvalid(KEEP)
        self._config = config
        self._location = location
        self._output = output

    def __call__(self, lines: DataFrame, number: int) -> None:
        """Score the files of one batch, and write them to the output.

        Args:
            lines: Lines of the announcements.
            number: Number of the batch, from 0.
        """
        spark = lines.sparkSession
        target = f"{self._output}/{_BATCH}={number}"
        arrivals = [parse_arrival(row.value) for row in lines.toLocalIterator()]
        if hadoop.exists(spark, target):
            _require_same(arrivals, spark.read.parquet(target), target)
            logger.info("Batch %d was written before", number)
            return
        if not arrivals:
            return
        unfinished = f"{self._output}/{_UNFINISHED}/{number}"
        self._score(spark, arrivals).write.mode("overwrite").parquet(unfinished)
        hadoop.move(spark, unfinished, target)
        _report(number, spark.read.parquet(target))

    def _score(self, spark: SparkSession, arrivals: Sequence[Arrival]) -> DataFrame:
        on_disk = is_on_disk(spark, self._location)
        # Spark refuses a list with a file that was deleted since.
        paths, rows = [], []
        for arrival in arrivals:
            if arrival.error is None and (on_disk or hadoop.exists(spark, arrival.path)):
                paths.append(arrival.path)
            else:
                error = arrival.error or f"{UNREADABLE}: no such file"
                rows.append((arrival.path, None, None, error))
        image = self._config.image
        decoded = to_pixels(
            _files(spark, paths, on_disk=on_disk), height=image.height, width=image.width
        )
        scored = add_predicted_label(
            self._model.transform(decoded), threshold=self._config.evaluation.threshold
        )
        result = scored.select(
            PATH, probability_column(scored).alias(PROBABILITY), PREDICTED_LABEL, ERROR
        )
        if not rows:
            return result
        return result.unionByName(spark.createDataFrame(rows, result.schema))


def _files(spark: SparkSession, paths: Sequence[str], *, on_disk: bool) -> DataFrame:
    """Return files for ``to_pixels``."""
    tasks = max(1, min(len(paths), max(task_slots(spark), -(-len(paths) // IMAGES_PER_TASK))))
    files = spark.createDataFrame([(path,) for path in paths], f"{PATH} STRING").repartition(tasks)
    if not on_disk:
        reader = spark.read.format("binaryFile")
        contents = reader.load([spark_path(path) for path in paths]) if paths else None
        content = F.lit(None).cast("binary").alias(CONTENT)
        # Scans leave empty files out.
        files = (
            files.select(PATH, content)
            if contents is None
            else files.join(contents.select(PATH, CONTENT), PATH, "left")
        )
    return files.select(
        "*", F.lit(None).cast("int").alias(ID), F.lit(None).cast("double").alias(LABEL)
    )


def _require_same(arrivals: Sequence[Arrival], written: DataFrame, target: str) -> None:
    """Refuse a batch that is in the output with other files: they would never be scored."""
    found = {row[PATH] for row in written.select(PATH).toLocalIterator()}
    if found != {arrival.path for arrival in arrivals}:
        raise ScoringError(
            f"{target} has the scores of other files: it was written with another checkpoint. Use "
            "that one, or another --output"
        )


def _report(number: int, written: DataFrame) -> None:
    """Log an account of a batch, and name files that cannot be scored."""
    rows = written.groupBy(ERROR).agg(F.count("*").alias("files"), F.min(PATH).alias(PATH))
    by_error: list[Row] = rows.orderBy(ERROR).collect()
    scored = sum(row.files for row in by_error if row[ERROR] is None)
    bad = [row for row in by_error if row[ERROR] is not None]
    for row in bad[:_EXAMPLES]:
        logger.warning("%s: not scored (%s)", printable(row[PATH]), printable(row[ERROR]))
    reasons = ", ".join(sorted(f"{row.files} {reason_of(row[ERROR])}" for row in bad))
    logger.info(
        "Batch %d: %d scored, %d not%s",
        number,
        scored,
        sum(row.files for row in bad),
        f" ({reasons})" if bad else "",
    )
