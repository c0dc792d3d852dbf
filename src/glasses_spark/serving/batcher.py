"""Batcher: images of many requests, decoded at the same time and scored together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from glasses_spark.preprocessing.decoding.batches import configure_worker
from glasses_spark.scorer.photo import Photo
from glasses_spark.scorer.scorer import BATCH, Scorer
from glasses_spark.serving.uploads import Upload

T = TypeVar("T")

_Waiting = tuple[NDArray[np.uint8], asyncio.Future[float]]


class Batcher:
    """Decodes and scores the images of all requests.

    Images are decoded by a thread for each core. One other thread scores all that are decoded when
    it is free, so that batches grow with the load and no image waits for others to come.

    Args:
        scorer: The model.
        threads: Threads that decode, at least 1.
        observe: Called with the number of rows of each batch.
    """

    def __init__(self, scorer: Scorer, *, threads: int, observe: Callable[[int], None]) -> None:
        self.scorer = scorer
        self._threads = threads
        self._observe = observe
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block runs."""
        self._decoders = ThreadPoolExecutor(self._threads, initializer=configure_worker)
        self._model = ThreadPoolExecutor(1)
        scoring = asyncio.create_task(self._score_all())
        try:
            yield
        finally:
            scoring.cancel()
            for pool in (self._decoders, self._model):
                pool.shutdown(cancel_futures=True)

    async def decode(self, upload: Upload) -> Photo:
        """Decode an image; any failure is its reason."""
        return await self._in(
            self._decoders, lambda: self.scorer.decode(upload.content, name=upload.name)
        )

    async def score(self, pixels: NDArray[np.uint8]) -> float:
        """Return the probability of a decoded image."""
        result: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        await self._queue.put((pixels, result))
        return await result

    async def compute(self, work: Callable[[], T]) -> T:
        """Do other work with the model, between two batches."""
        return await self._in(self._model, work)

    async def _score_all(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while len(waiting) < BATCH and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            await self._score_batch(waiting)

    async def _score_batch(self, waiting: Sequence[_Waiting]) -> None:
        self._observe(len(waiting))
        pixels = np.stack([each for each, _ in waiting])
        try:
            found = await self._in(self._model, lambda: self.scorer.probabilities(pixels))
        except Exception as error:
            for _, result in waiting:
                if not result.done():
                    result.set_exception(error)
            return
        for (_, result), probability in zip(waiting, found, strict=True):
            # Its request may have ended.
            if not result.done():
                result.set_result(float(probability))

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
