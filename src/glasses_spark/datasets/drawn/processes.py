"""Drawing of faces to files, in this process or in several others.

The other processes run this module as a program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, Any

import cv2

from glasses_spark.datasets.drawn.atomic_file import write_file
from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.datasets.drawn.manifest import Labels, face_file
from glasses_spark.errors import ImagesError


def draw_here(labels: Labels, folder: Path, size: int, seed: int) -> Generator[int, None, None]:
    """Draw faces in this process.

    Args:
        labels: Index and label of each face.
        folder: Folder of the files.
        size: Height and width in pixels.
        seed: Seed of the drawings.

    Yields:
        The index of each face after its file is written.

    Raises:
        ImagesError: A face could not be written.
    """
    for index, label in labels:
        image = cv2.cvtColor(draw_face(index, label, size=size, seed=seed), cv2.COLOR_RGB2BGR)
        # Film grain does not compress: a higher level takes longer and saves nothing.
        encoded, content = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        path = face_file(folder, index)
        if not encoded:
            raise ImagesError(f"{path}: OpenCV could not encode the image")
        try:
            write_file(path, content.tobytes())
        except OSError as error:
            raise ImagesError(f"{path}: cannot be written ({error.strerror})") from error
        yield index


def draw_in_processes(
    labels: Labels, folder: Path, size: int, seed: int, processes: int
) -> Generator[int, None, None]:
    """Draw faces in several processes; the arguments and results are those of ``draw_here``.

    The processes are plain interpreters, not those of multiprocessing: "spawn" would run the
    caller's script again, and "fork" is unsafe after Spark or TensorFlow have started threads.
    """
    events: Queue[int | subprocess.Popen[str]] = Queue()  # a drawn face, or an ended process
    with tempfile.TemporaryFile("w+") as errors:
        running = [_start_process(errors) for _ in range(processes)]
        try:
            for number, process in enumerate(running):
                job = json.dumps([labels[number::processes], str(folder), size, seed])
                Thread(target=_follow, args=(process, job, events), daemon=True).start()
            active = processes
            while active:
                event = events.get()
                if isinstance(event, int):
                    yield event
                    continue
                active -= 1
                if event.wait() != 0:
                    raise ImagesError(f"{folder}: a drawing process failed: {_last_line(errors)}")
        finally:
            for process in running:
                process.kill()
                process.wait()


def _start_process(errors: IO[str]) -> subprocess.Popen[str]:
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "glasses_spark.datasets.drawn.processes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "PYTHONPATH": search_path},
    )


def _follow(process: subprocess.Popen[str], job: str, events: Queue[Any]) -> None:
    """Send a process its job, and queue the index of each face that it has drawn."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with process.stdin, process.stdout:
            process.stdin.write(job)
            process.stdin.close()
            for line in process.stdout:
                events.put(int(line))
    except OSError:
        pass  # it ended before it had read its job; its exit status is reported
    finally:
        events.put(process)


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    return (errors.read().strip().splitlines() or ["no message"])[-1]


def _run_job() -> None:
    """Draw the faces of the job on standard input; print the index of each."""
    cv2.setNumThreads(1)
    labels, folder, size, seed = json.load(sys.stdin)
    for index in draw_here(labels, Path(folder), size, seed):
        print(index, flush=True)


if __name__ == "__main__":
    _run_job()
