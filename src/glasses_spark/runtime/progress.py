"""Progress: the state of a run as log lines, or as bars on a terminal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeAlias

from glasses_spark.runtime.connect import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from rich.progress import Progress as RichProgress

logger = logging.getLogger(__name__)

# How often Spark is asked for the number of finished tasks: often enough to look smooth.
_POLL_SECONDS: Final = 0.2
ShowEpoch: TypeAlias = Callable[[int, Mapping[str, float]], None]


class Progress:
    """Reports the progress of a run as log lines.

    The pipeline calls it from one thread.
    """

    @contextmanager
    def stage(self, name: str, spark: SparkSession | None = None) -> Iterator[None]:
        """Report the start, the end and the duration of one stage of the run.

        Args:
            name: Description of the stage, such as ``Decoding 500 images``.
            spark: Session whose tasks do the work, to show how many are finished.
        """
        logger.info("%s ...", name)
        start = time.monotonic()
        yield
        logger.info("%s: %.1f s", name, time.monotonic() - start)

    def model(self, summary: str) -> None:
        """Show the summary of the model before training starts."""
        logger.info("%s", summary)

    def epochs(self, total: int) -> AbstractContextManager[ShowEpoch]:
        """Report the epochs of a fit.

        Args:
            total: Number of epochs.

        Returns:
            Context of a function that takes the number of a finished epoch, from 1, and
            its metrics by name, such as ``loss`` and ``accuracy``.
        """

        def show(epoch: int, metrics: Mapping[str, float]) -> None:
            logger.info("Epoch %d/%d: %s", epoch, total, _format_metrics(metrics))

        return nullcontext(show)

    def headline(self, text: str) -> None:
        """Show the most important metrics of the run, in one line."""
        logger.info("%s", text)

    def counter(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Report work on a known number of items.

        Args:
            name: Description of the work.
            total: Number of items.

        Returns:
            Context of a function that takes the number of items finished so far.
        """
        return nullcontext(lambda done: None)


class BarProgress(Progress):
    """Reports the progress of a run as bars on the terminal, on standard error."""

    @contextmanager
    def stage(self, name: str, spark: SparkSession | None = None) -> Iterator[None]:
        """Show a bar for one stage of the run; see ``Progress.stage``."""
        with _bars() as bars:
            bar = bars.add_task(name, total=None)
            # Spark Connect does not tell the client which tasks are active.
            if spark is None or is_connect(spark):
                yield
            else:
                with follow_tasks(
                    spark, lambda done, total: bars.update(bar, completed=done, total=total)
                ):
                    yield
            bars.update(bar, completed=1, total=1)

    @contextmanager
    def epochs(self, total: int) -> Iterator[ShowEpoch]:
        """Show a bar and a line for each epoch; see ``Progress.epochs``."""
        with _bars() as bars:
            bar = bars.add_task(f"Training, {total} epochs", total=total)

            def show(epoch: int, metrics: Mapping[str, float]) -> None:
                line = f"Epoch {epoch}/{total}: {_format_metrics(metrics)}"
                bars.console.print(line, highlight=False)
                bars.update(bar, completed=epoch)

            yield show

    def headline(self, text: str) -> None:
        """Print the most important metrics; see ``Progress.headline``."""
        with _bars() as bars:
            bars.console.print(text, highlight=False)

    @contextmanager
    def counter(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar for work on a known number of items; see ``Progress.counter``."""
        with _bars() as bars:
            bar = bars.add_task(name, total=total)
            yield lambda done: bars.update(bar, completed=done)


@contextmanager
def follow_tasks(spark: SparkSession, show: Callable[[int, int], None]) -> Iterator[None]:
    """Report the finished tasks of Spark's active stages while the block runs.

    Args:
        spark: The running session.
        show: Called from another thread with the number of finished tasks and of all tasks.
    """
    block_ended = threading.Event()
    tracker = spark.sparkContext.statusTracker()

    def follow() -> None:
        while not block_ended.wait(_POLL_SECONDS):
            infos = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            stages = [info for info in infos if info is not None]
            if stages:
                show(
                    sum(stage.numCompletedTasks for stage in stages),
                    sum(stage.numTasks for stage in stages),
                )

    follower = threading.Thread(target=follow, name="spark-progress", daemon=True)
    follower.start()
    try:
        yield
    finally:
        block_ended.set()
        follower.join()


def _format_metrics(metrics: Mapping[str, float]) -> str:
    # Keras sorts them by name; readers look for the loss first.
    ordered = sorted(metrics, key=lambda name: (name.startswith("val_"), "loss" not in name))
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in ordered)


def _bars() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
