"""Photographs: files, folders and standard input, decoded on all cores."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from glasses_spark.errors import ImagesError
from glasses_spark.loading.disk_files import disk_path, list_disk
from glasses_spark.preprocessing.decoding.batches import configure_worker
from glasses_spark.scorer.decoder_process import Decode, DecoderProcess
from glasses_spark.scorer.face_detector import Detector
from glasses_spark.scorer.photo import STANDARD_INPUT, Photo, decode_file

logger = logging.getLogger(__name__)

# Names of photographs in a folder.
PHOTOS: Final = "*.{png,PNG,jpg,JPG,jpeg,JPEG}"

# Files read ahead for each thread: enough that none waits, and a bound on memory.
_READ_AHEAD: Final = 2

# Files from which other processes decode. Until they have started, in 0.3 s, this one does.
_MANY: Final = 64


def list_photos(locations: Iterable[str], *, glob: str = PHOTOS) -> list[str]:
    """Return the files at some locations.

    Args:
        locations: Files, folders, globs, and ``-`` for standard input.
        glob: Pattern of the names in folders; case-sensitive.

    Returns:
        Absolute paths in the order of the locations, those of a folder sorted by name.

    Raises:
        ImagesError: A location has no such file.
    """
    found: list[str] = []
    for location in locations:
        if location == STANDARD_INPUT:
            found.append(location)
        elif os.path.isfile(location):
            # Its name needs no suffix.
            found.append(disk_path(location))
        else:
            files = sorted(list_disk(location, glob))
            if not files:
                raise ImagesError(
                    f"{location}: no image file found. Give PNG or JPEG files, or folders with "
                    f"files named {glob}, or set data.glob to a pattern of your file names"
                )
            found += files
    return found


def read_photos(
    names: Iterable[str],
    *,
    height: int,
    width: int,
    threads: int,
    detect: Detector | None = None,
) -> Iterator[Photo]:
    """Read and decode files, in their order.

    Many files are decoded by as many other processes, because the PNG decoder holds Python's lock
    for a part of its time. They hold some 60 MB each.

    Args:
        names: Paths, or ``-`` for standard input.
        height: Rows of the pixels.
        width: Columns of the pixels.
        threads: Files that are decoded at the same time, at least 1; one is decoded in this
            process.
        detect: Finds faces; the pixels are those of the face. None: of the complete picture.

    Yields:
        One photograph for each name; no file ends the iteration.
    """
    configure_worker()
    waiting = iter(names)
    first = list(islice(waiting, _MANY))
    waiting = chain(first, waiting)
    with ExitStack() as stack:
        read: Decode = partial(decode_file, height=height, width=width, detect=detect)
        if len(first) == _MANY and threads > 1 and detect is None:
            read = stack.enter_context(_decoders(read, height, width, threads))
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        pending: list[Future[Photo]] = []
        try:
            while True:
                room = _READ_AHEAD * threads - len(pending)
                pending += [pool.submit(read, name) for name in islice(waiting, room)]
                if not pending:
                    return
                yield pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()


@contextmanager
def _decoders(read: Decode, height: int, width: int, processes: int) -> Iterator[Decode]:
    """Provide what decodes a file in an idle process, or in this one until they have started.

    Args:
        read: Decodes a file in this process.
        height: Rows of the pixels.
        width: Columns of the pixels.
        processes: Number of them.
    """
    idle: SimpleQueue[DecoderProcess] = SimpleQueue()

    def await_process(process: DecoderProcess) -> None:
        try:
            process.wait_until_ready()
        except OSError as error:
            logger.debug("files are decoded without other processes: %s", error)
        else:
            idle.put(process)

    def decode(name: str) -> Photo:
        if name == STANDARD_INPUT:
            return read(name)
        try:
            process = idle.get_nowait()
        except Empty:
            return read(name)
        try:
            return process.decode(name)
        finally:
            idle.put(process)

    with ExitStack() as stack:
        started = []
        try:
            for _ in range(processes):
                started.append(stack.enter_context(DecoderProcess(height, width)))
        except OSError as error:
            logger.debug("files are decoded without other processes: %s", error)
        waiting = [Thread(target=await_process, args=(process,)) for process in started]
        for thread in waiting:
            thread.start()
        try:
            yield decode
        finally:
            for process in started:
                process.kill()
            for thread in waiting:
                thread.join()
