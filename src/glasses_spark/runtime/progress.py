"""Progress: what a run tells while it works, as log lines or as bars on a terminal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from rich.progress import Progress as RichProgress

logger = logging.getLogger(__name__)

# How often Spark is asked how many tasks are done; often enough for the eye.
_POLL_SECONDS: Final = 0.2
ShowEpoch: TypeAlias = Callable[[int, Mapping[str, float]], None]


class Progress:
    """Tells the progress of a run as log lines.

    The pipeline calls it; it is used from one thread.
    """

    @contextmanager
    def stage(self, name: str, spark: SparkSession | None = None) -> Iterator[None]:
        """Enclose one stage of the run.

        Args:
            name: What is done, such as ``Decoding 500 images``.
            spark: Session whose tasks do it, where progress is to be shown.
        """
        logger.info("%s ...", name)
        start = time.monotonic()
        yield
        logger.info("%s: %.1f s", name, time.monotonic() - start)

    def model(self, summary: str) -> None:
        """Show the summary of the model that is about to be trained."""
        logger.info("%s", summary)

    def epochs(self, total: int) -> AbstractContextManager[ShowEpoch]:
        """Enclose a fit of so many epochs.

        The function takes each epoch that has ended, counted from 1, and its
        figures by name, such as ``loss`` and ``accuracy``.
        """

        def show(epoch: int, figures: Mapping[str, float]) -> None:
            logger.info("Epoch %d/%d: %s", epoch, total, _listed(figures))

        return _enclose(show)

    def judged(self, headline: str) -> None:
        """Show the figures that people wait for, in one line."""
        logger.info("%s", headline)

    def counter(self, name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Enclose work on so many things; the function takes the number done so far."""
        return _enclose(lambda done: None)


class BarProgress(Progress):
    """Tells the progress of a run as bars on the terminal, on standard error."""

    @contextmanager
    def stage(self, name: str, spark: SparkSession | None = None) -> Iterator[None]:
        """Enclose one stage of the run; see ``Progress.stage``."""
        with _bars() as bars:
            bar = bars.add_task(name, total=None)
            if spark is None:
                yield
            else:
                with following(
                    spark, lambda done, total: bars.update(bar, completed=done, total=total)
                ):
                    yield
            bars.update(bar, completed=1, total=1)

    @contextmanager
    def epochs(self, total: int) -> Iterator[ShowEpoch]:
        """Enclose a fit of so many epochs; see ``Progress.epochs``."""
        with _bars() as bars:
            bar = bars.add_task(f"Training, {total} epochs", total=total)

            def show(epoch: int, figures: Mapping[str, float]) -> None:
                bars.console.print(f"Epoch {epoch}/{total}: {_listed(figures)}", highlight=False)
                bars.update(bar, completed=epoch)

            yield show

    def judged(self, headline: str) -> None:
        """Show the figures that people wait for; see ``Progress.judged``."""
        with _bars() as bars:
            bars.console.print(headline, highlight=False)

    @contextmanager
    def counter(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Enclose work on so many things; see ``Progress.counter``."""
        with _bars() as bars:
            bar = bars.add_task(name, total=total)
            yield lambda done: bars.update(bar, completed=done)


@contextmanager
def _enclose(value: Any) -> Iterator[Any]:
    yield value


def _listed(figures: Mapping[str, float]) -> str:
    # Keras hands them over by the alphabet; people look for the loss first.
    ordered = sorted(figures, key=lambda name: (name.startswith("val_"), "loss" not in name))
    return ", ".join(f"{name} {figures[name]:.4f}" for name in ordered)


def _bars() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


@contextmanager
def following(spark: SparkSession, show: Callable[[int, int], None]) -> Iterator[None]:
    """Report, while the block runs, how many tasks of Spark's active stages are done."""
    done = threading.Event()
    tracker = spark.sparkContext.statusTracker()

    def follow() -> None:
        while not done.wait(_POLL_SECONDS):
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
        done.set()
        follower.join()
