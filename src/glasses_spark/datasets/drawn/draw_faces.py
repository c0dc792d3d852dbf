"""Folders of drawn faces, which need no download."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glasses_spark.datasets.drawn.face import LARGEST, SMALLEST
from glasses_spark.datasets.drawn.manifest import (
    claim_folder,
    is_complete,
    make_manifest,
    write_manifest,
)
from glasses_spark.datasets.drawn.processes import draw_here, draw_in_processes
from glasses_spark.errors import ConfigError, LabelsError
from glasses_spark.loading.labels_file import check_size, parse_labels
from glasses_spark.runtime.machine import count_cores

logger = logging.getLogger(__name__)

# With fewer faces, starting another process costs more than it saves.
PER_PROCESS: Final = 50


@dataclass(frozen=True)
class DrawnFaces:
    """A folder of drawn faces.

    Attributes:
        folder: Folder of the files `face-<index>.png`.
        drawn: Faces drawn by this call; 0 if the folder was complete.
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

    Afterwards the folder holds exactly these faces. If its manifest `faces.json` names the
    same version of the drawings, size, seed and labels, nothing is drawn. Otherwise all faces
    are drawn again, and faces of an earlier call that are not in the labels file are removed.
    The images do not depend on the number of processes.

    Args:
        labels: CSV file with the header `index,label`; the label is 1.0 (glasses), 0.0 (no
            glasses), or empty or `nan` (undefined: an ambiguous face is drawn).
        out: Folder for `face-<index>.png`, 8-bit RGB, and the manifest; created if missing.
        size: Height and width in pixels, 64 to 1024.
        seed: Seed of the drawings, at least 0.
        limit: Draw only this many rows from the start of the file, at least 1; None for all.
        processes: Number of drawing processes, at least 1; by default one per usable core,
            and fewer if there are few faces.
        on_drawn: Called in the caller's thread with the number of faces drawn so far, after
            each face; not called if nothing is drawn.

    Returns:
        The folder and the number of faces of each kind in it.

    Raises:
        LabelsError: The labels file is missing or malformed.
        ConfigError: A number is out of range, or `out` holds PNG files of another origin.
        ImagesError: A face could not be written.
    """
    _check_arguments(size, seed, limit, processes)
    rows = _read_labels(labels)[:limit]
    folder, kinds = out.resolve(), Counter(label for _, label in rows)
    manifest = make_manifest(rows, size, seed)
    drawn = 0 if is_complete(folder, manifest) else len(rows)
    if drawn:
        claim_folder(folder, manifest)
        used = min(len(rows), processes or max(1, min(count_cores(), len(rows) // PER_PROCESS)))
        steps = (
            draw_here(rows, folder, size, seed)
            if used == 1
            else draw_in_processes(rows, folder, size, seed, used)
        )
        with closing(steps):  # stops the processes at once if `on_drawn` raises
            for done, _ in enumerate(steps, start=1):
                if on_drawn is not None:
                    on_drawn(done)
        write_manifest(folder, manifest, complete=True)
    logger.info("%s: %d faces, %d drawn by this call", folder, len(rows), drawn)
    return DrawnFaces(folder, drawn, kinds[1.0], kinds[0.0], kinds[None])


def _check_arguments(size: int, seed: int, limit: int | None, processes: int | None) -> None:
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(f"size is {size} px: expected {SMALLEST} to {LARGEST}")
    for name, value, least in [("seed", seed, 0), ("limit", limit, 1), ("processes", processes, 1)]:
        if value is not None and value < least:
            raise ConfigError(f"{name} is {value}: expected {least} or more")


def _read_labels(path: Path) -> list[tuple[int, float | None]]:
    """Read index and label of each row, in the order of the file."""
    try:
        check_size(path.stat().st_size, str(path))
        content = path.read_bytes()
    except OSError as error:
        raise LabelsError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a labels file"
        ) from error
    return list(parse_labels(content, str(path)).items())
