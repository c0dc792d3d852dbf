"""Manifest of a folder of drawn faces: everything that the images depend on.

With it a second call can see that the folder is complete, and can tell drawn faces from
other images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from glasses_spark.datasets.drawn.atomic_file import write_file
from glasses_spark.errors import ConfigError, ImagesError

MANIFEST: Final = "faces.json"

# Version of the drawings. Raise it when `face.py` draws anything differently.
DRAWING: Final = 1

Labels: TypeAlias = Sequence[tuple[int, float | None]]


def face_file(folder: Path, index: int) -> Path:
    """Return the path of a drawn face."""
    return folder / f"face-{index}.png"


def make_manifest(labels: Labels, size: int, seed: int) -> dict[str, Any]:
    """Return everything that the images depend on, as JSON would read it back."""
    return {
        "drawing": DRAWING,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "size": size,
        "seed": seed,
        "labels_sha256": hashlib.sha256(json.dumps(labels).encode()).hexdigest(),
        "faces": sorted(index for index, _ in labels),
    }


def is_complete(folder: Path, manifest: dict[str, Any]) -> bool:
    """Return whether a folder holds exactly the faces of a manifest."""
    if _read_manifest(folder) != {**manifest, "complete": True}:
        return False
    expected = {face_file(folder, index).name for index in manifest["faces"]}
    return {path.name for path in folder.glob("*.png")} == expected


def claim_folder(folder: Path, manifest: dict[str, Any]) -> None:
    """Write an incomplete manifest before drawing, and remove faces that are not in it.

    Raises:
        ConfigError: The folder holds PNG files, but no manifest.
        ImagesError: The folder cannot be written.
    """
    earlier = _read_manifest(folder)
    if earlier is None and any(folder.glob("*.png")):
        # Drawn faces among photographs would be trained on with the photographs' labels.
        raise ConfigError(
            f"{folder}: contains PNG files that were not drawn by this command. Give an empty "
            "folder"
        )
    faces = earlier["faces"] if earlier else []
    for index in set(faces) - set(manifest["faces"]):
        face_file(folder, index).unlink(missing_ok=True)
    write_manifest(folder, manifest, complete=False)


def write_manifest(folder: Path, manifest: dict[str, Any], *, complete: bool) -> None:
    """Write a manifest; the folder is created if it is missing.

    Raises:
        ImagesError: The folder cannot be written.
    """
    content = json.dumps({**manifest, "complete": complete}).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / MANIFEST, content)
    except OSError as error:
        raise ImagesError(
            f"{folder}: cannot be written ({error.strerror}). Give another folder"
        ) from error


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of an earlier call; None if it is missing or malformed."""
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    faces = content.get("faces") if isinstance(content, dict) else None
    if not isinstance(faces, list) or not all(isinstance(index, int) for index in faces):
        return None
    return dict(content)
