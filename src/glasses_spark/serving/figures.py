"""Figures of a service, in the format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# Seconds: from one small image to a full queue.
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32)


class Figures:
    """Counts of requests and images of one service.

    Attributes:
        requests: Requests by path and status.
        images: Images by outcome: ``scored``, ``undecodable``.
        seconds: Time from the arrival of a request to its answer.
        batch_rows: Rows of the batches that the model scored together.
        in_work: Images that have arrived and are not answered.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "glasses_spark_requests", "Requests.", ["path", "status"], registry=self._registry
        )
        self.images = Counter(
            "glasses_spark_images", "Images by outcome.", ["outcome"], registry=self._registry
        )
        self.seconds = Histogram(
            "glasses_spark_request_seconds",
            "Time to answer a request.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batch_rows = Histogram(
            "glasses_spark_batch_rows",
            "Images scored together.",
            buckets=_ROWS,
            registry=self._registry,
        )
        self.in_work = Gauge(
            "glasses_spark_images_in_work", "Images not answered yet.", registry=self._registry
        )

    def text(self) -> bytes:
        """Return all figures."""
        return generate_latest(self._registry)
