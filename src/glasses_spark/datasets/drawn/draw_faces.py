"""Drawn faces: a folder of PNG files for a labels file, so that no download is needed to start.

The `labels.csv` at the top of the repository belongs to these drawings. It is **not** the label
file of the Kaggle set (`jeffheaton/glasses-or-no-glasses`): it only has the same format, and was
made by `make_labels()` and `write_labels()` of this module, from a seeded generator and nothing
else. Never judge real images by it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import cv2
import numpy as np

from glasses_spark.datasets.drawn.face import LARGEST, SMALLEST, draw_face
from glasses_spark.errors import ConfigError, ImagesError, LabelsError

logger = logging.getLogger(__name__)

__all__ = ["DrawnFaces", "draw_face", "draw_faces", "make_labels", "write_labels"]
HEADER = ["index", "label"]
MANIFEST = "faces.json"  # what the folder holds, so that a second call can leave it alone
DRAWING = 1  # counts the changes of the pictures: raise it when face.py draws anything else
LARGEST_INDEX = 2**31 - 1  # the column `id` is a 32-bit integer
PER_PROCESS = 50  # faces below which starting another process costs more than it saves
Labels = Sequence[tuple[int, float | None]]


@dataclass(frozen=True)
class DrawnFaces:
    """A folder of drawn faces.

    Attributes:
        folder: Where the files `face-<n>.png` lie.
        drawn: Faces drawn by this call; 0 when the folder already held all of them.
        with_glasses: Faces in the folder whose label is 1.0.
        without_glasses: Faces in the folder whose label is 0.0.
        undefined: Faces in the folder whose label is empty or `nan`.
    """

    folder: Path
    drawn: int
    with_glasses: int
    without_glasses: int
    undefined: int


def draw_faces(
    labels: Path,
    out: Path,
    *,
    size: int = 256,
    seed: int = 0,
    limit: int | None = None,
    processes: int | None = None,
    on_drawn: Callable[[int], None] | None = None,
) -> DrawnFaces:
    """Draw one face for each row of a labels file.

    Afterwards the folder holds exactly these faces. It is left alone when it already does: its
    manifest `faces.json` names the release of the drawing, the size, the seed and the labels.
    Otherwise all faces are drawn again, and faces of an earlier call that are no longer asked
    for are removed. The pictures do not depend on the number of processes.

    Args:
        labels: CSV file with the header `index,label`; the label is 1.0 (glasses), 0.0 (none),
            or empty or `nan` (undefined: something ambiguous is drawn).
        out: Folder for `face-<index>.png`, 8-bit RGB, and the manifest; made when missing.
        size: Height and width in pixels, 64 to 1024.
        seed: Seed of the drawings, at least 0.
        limit: Draw the first so many rows only, at least 1; all by default.
        processes: Processes that draw, at least 1; by default one for each usable core, and
            fewer where there are few faces.
        on_drawn: Called in the caller's thread with the number of faces drawn so far, after
            each face; not called when nothing is drawn.

    Returns:
        The folder and how many faces of each kind it holds.

    Raises:
        LabelsError: The labels file is missing, empty or malformed.
        ConfigError: A number is out of range, or `out` holds PNG files of another origin.
        ImagesError: A face could not be written.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(f"size is {size} px: expected {SMALLEST} to {LARGEST}")
    for name, value, least in [("seed", seed, 0), ("limit", limit, 1), ("processes", processes, 1)]:
        if value is not None and value < least:
            raise ConfigError(f"{name} is {value}: expected {least} or more")
    rows = _read(labels)[:limit]
    out, kinds = out.resolve(), Counter(label for _, label in rows)
    wanted = _manifest(rows, size, seed)
    drawn = 0 if _holds(out, wanted) else len(rows)
    if drawn:
        _claim(out, wanted)
        workers = min(len(rows), processes or max(1, min(_cores(), len(rows) // PER_PROCESS)))
        steps = (
            _draw(rows, out, size, seed) if workers == 1 else _share(rows, out, size, seed, workers)
        )
        with closing(steps):  # stops the processes at once when `on_drawn` raises
            for done, _ in enumerate(steps, start=1):
                if on_drawn is not None:
                    on_drawn(done)
        _declare(out, {**wanted, "complete": True})
    logger.info("%s: %d faces, %d drawn now", out, len(rows), drawn)
    return DrawnFaces(out, drawn, kinds[1.0], kinds[0.0], kinds[None])


def make_labels(rows: int, seed: int) -> list[tuple[int, str]]:
    """Make labels for drawn faces, out of nothing but a seeded generator.

    Args:
        rows: How many, at least 9: indexes 1 to `rows`.
        seed: Seed, at least 0.

    Returns:
        Rows (index, text of the label): 6 are empty, 3 are `nan`, and of the others 56 %
        are `1.0` and the rest `0.0`, in random order.

    Raises:
        ConfigError: A number is out of range.
    """
    if rows < 9 or seed < 0:
        raise ConfigError(
            f"rows is {rows} and seed {seed}: expected at least 9 rows, seed 0 or more"
        )
    known = rows - 9
    glasses = round(known * 0.56)
    texts = [""] * 6 + ["nan"] * 3 + ["1.0"] * glasses + ["0.0"] * (known - glasses)
    order = np.random.default_rng(seed).permutation(rows)
    return [(index, texts[place]) for index, place in enumerate(order, start=1)]


def write_labels(path: Path, rows: Sequence[tuple[int, str]]) -> None:
    """Write a labels file; `write_labels(Path("labels.csv"), make_labels(2400, 0))` made ours."""
    lines = [",".join(HEADER), *(f"{index},{label}" for index, label in rows)]
    _write(path, ("\n".join(lines) + "\n").encode())


def _read(path: Path) -> list[tuple[int, float | None]]:
    """Read the rows in the order of the file; an undefined label becomes None."""
    try:
        lines = list(csv.reader(path.read_text("utf-8").splitlines()))
    except OSError as error:
        raise LabelsError(
            f"{path}: cannot be read ({error.strerror}); expected a CSV file"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{path}: is not a text file with the columns index,label") from error
    if not lines or lines[0] != HEADER:
        found = ",".join(lines[0]) if lines else "an empty file"
        raise LabelsError(f"{path}: expected the header index,label, got {found[:80]}")
    rows = [_parse(path, number, line) for number, line in enumerate(lines[1:], 2) if line]
    if not rows:
        raise LabelsError(f"{path}: holds no row below its header: nothing to draw")
    index, times = Counter(index for index, _ in rows).most_common(1)[0]
    if times > 1:
        raise LabelsError(f"{path}: index {index} comes {times} times, expected one label an image")
    return rows


def _parse(path: Path, number: int, line: list[str]) -> tuple[int, float | None]:
    where = f"{path}, line {number}"
    if len(line) != 2 or not line[0].isdecimal() or not line[0].isascii():
        raise LabelsError(
            f"{where}: expected a whole number and a label, got {','.join(line)[:80]}"
        )
    if len(line[0]) > 10 or int(line[0]) > LARGEST_INDEX:  # int() refuses thousands of digits
        raise LabelsError(f"{where}: index is {line[0][:40]}, expected at most {LARGEST_INDEX}")
    text = line[1].strip().lower()
    if text in ("", "nan"):
        return int(line[0]), None
    if text not in ("0", "0.0", "1", "1.0"):
        raise LabelsError(f"{where}: label is {text[:40]}, expected 0.0, 1.0, nan or nothing")
    return int(line[0]), float(text)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _file(out: Path, index: int) -> Path:
    return out / f"face-{index}.png"


def _manifest(rows: Labels, size: int, seed: int) -> dict[str, Any]:
    """Everything that the pictures depend on, in the form that JSON gives back."""
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    about = {"drawing": DRAWING, "opencv": cv2.__version__, "numpy": np.__version__}
    return {
        **about,
        "size": size,
        "seed": seed,
        "labels_sha256": digest,
        "faces": sorted(index for index, _ in rows),
    }


def _claimed(out: Path) -> dict[str, Any] | None:
    """The manifest of an earlier call, None where there is none that can be read."""
    try:
        found = json.loads((out / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    faces = found.get("faces") if isinstance(found, dict) else None
    if not isinstance(faces, list) or not all(isinstance(index, int) for index in faces):
        return None
    return dict(found)


def _holds(out: Path, wanted: dict[str, Any]) -> bool:
    """Whether the folder holds all the wanted faces and no other."""
    if _claimed(out) != {**wanted, "complete": True}:
        return False
    return {path.name for path in out.glob("*.png")} == {
        _file(out, n).name for n in wanted["faces"]
    }


def _claim(out: Path, wanted: dict[str, Any]) -> None:
    """Make the folder ours before anything is drawn into it, and clear what we drew before."""
    earlier = _claimed(out)
    if earlier is None and any(out.glob("*.png")):
        # Drawn faces among photographs would be trained on under the photographs' numbers.
        raise ConfigError(f"{out}: holds PNG files that were not drawn here; name an empty folder")
    before = earlier["faces"] if earlier else []
    for index in set(before) - set(wanted["faces"]):
        _file(out, index).unlink(missing_ok=True)
    _declare(out, {**wanted, "complete": False})


def _declare(out: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, into a folder that may not be there yet."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(out / MANIFEST, json.dumps(manifest).encode())
    except OSError as error:
        raise ImagesError(
            f"{out}: cannot be written ({error.strerror}); name another folder"
        ) from error


def _draw(rows: Labels, out: Path, size: int, seed: int) -> Generator[int, None, None]:
    """Draw faces in this process, yielding the index of each once its file is there."""
    for index, label in rows:
        picture = cv2.cvtColor(draw_face(index, label, size=size, seed=seed), cv2.COLOR_RGB2BGR)
        # The grain of the film does not compress: a higher level costs time and saves nothing.
        done, content = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise ImagesError(f"{_file(out, index)}: OpenCV could not encode the picture")
        try:
            _write(_file(out, index), content.tobytes())
        except OSError as error:
            raise ImagesError(
                f"{_file(out, index)}: cannot be written ({error.strerror})"
            ) from error
        yield index


def _share(
    rows: Labels, out: Path, size: int, seed: int, workers: int
) -> Generator[int, None, None]:
    """Draw faces in other processes, yielding the index of each once its file is there.

    Plain interpreters rather than multiprocessing: that would run the caller's own script again
    in each process, and fork is unsafe once Spark or TensorFlow have started their threads.
    """
    news: Queue[int | subprocess.Popen[str]] = Queue()  # a face drawn, or a process at its end
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    with tempfile.TemporaryFile("w+") as errors:
        running = [
            subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONPATH": search_path},
            )
            for _ in range(workers)
        ]
        try:
            for number, process in enumerate(running):
                job = json.dumps([rows[number::workers], str(out), size, seed])
                Thread(target=_converse, args=(process, job, news), daemon=True).start()
            at_work = workers
            while at_work:
                item = news.get()
                if isinstance(item, int):
                    yield item
                    continue
                at_work -= 1
                if item.wait() != 0:
                    errors.seek(0)
                    last = (errors.read().strip().splitlines() or ["it left no message"])[-1]
                    raise ImagesError(f"{out}: a drawing process failed: {last}")
        finally:
            for process in running:
                process.kill()
                process.wait()


def _converse(process: subprocess.Popen[str], job: str, news: Queue[Any]) -> None:
    """Hand a process its job and pass on the index of each face that it has drawn."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with process.stdin, process.stdout:
            process.stdin.write(job)
            process.stdin.close()
            for line in process.stdout:
                news.put(int(line))
    except OSError:
        pass  # it ended before it had read its job: its exit status says so
    finally:
        news.put(process)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":  # one of the processes of `_share`
    cv2.setNumThreads(1)
    its_rows, folder, its_size, its_seed = json.load(sys.stdin)
    for its_index in _draw(its_rows, Path(folder), its_size, its_seed):
        print(its_index, flush=True)
