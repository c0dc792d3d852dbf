"""Tests for glasses_spark.datasets.drawn.manifest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glasses_spark.datasets.drawn.manifest import (
    claim_folder,
    face_file,
    is_complete,
    make_manifest,
    write_manifest,
)
from glasses_spark.errors import ConfigError, ImagesError

MANIFEST = make_manifest([(1, 1.0), (2, None)], 64, 0)


def write_faces(folder: Path, *indexes: int) -> None:
    folder.mkdir(exist_ok=True)
    for index in indexes:
        face_file(folder, index).write_bytes(b"png")


def test_a_folder_is_complete_with_its_faces_and_the_manifest(tmp_path: Path) -> None:
    write_faces(tmp_path, 1, 2)
    assert not is_complete(tmp_path, MANIFEST)

    write_manifest(tmp_path, MANIFEST, complete=True)

    assert is_complete(tmp_path, MANIFEST)
    write_faces(tmp_path, 3)
    assert not is_complete(tmp_path, MANIFEST)


@pytest.mark.parametrize(
    "other",
    [
        make_manifest([(1, 1.0), (2, 0.0)], 64, 0),
        make_manifest([(1, 1.0), (2, None)], 65, 0),
        make_manifest([(1, 1.0), (2, None)], 64, 1),
    ],
    ids=["labels", "size", "seed"],
)
def test_another_manifest_is_not_complete(tmp_path: Path, other: dict[str, object]) -> None:
    write_faces(tmp_path, 1, 2)
    write_manifest(tmp_path, MANIFEST, complete=True)

    assert not is_complete(tmp_path, other)


@pytest.mark.parametrize("text", ["", "[]", '{"faces": 3}', '{"faces": ["a"]}'])
def test_a_folder_with_images_and_a_malformed_manifest_is_not_claimed(
    tmp_path: Path, text: str
) -> None:
    write_faces(tmp_path, 1)
    (tmp_path / "faces.json").write_text(text)

    with pytest.raises(ConfigError, match="contains PNG files that were not drawn"):
        claim_folder(tmp_path, MANIFEST)


def test_claiming_removes_earlier_faces_and_marks_the_folder_incomplete(tmp_path: Path) -> None:
    write_faces(tmp_path, 1, 7)
    write_manifest(tmp_path, make_manifest([(1, 1.0), (7, 0.0)], 64, 0), complete=True)

    claim_folder(tmp_path, MANIFEST)

    assert {path.name for path in tmp_path.iterdir()} == {"face-1.png", "faces.json"}
    assert json.loads((tmp_path / "faces.json").read_text()) == {**MANIFEST, "complete": False}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "faces").write_text("a file")

    with pytest.raises(ImagesError, match=r"faces: cannot be written .*Give another folder"):
        claim_folder(tmp_path / "faces", MANIFEST)
