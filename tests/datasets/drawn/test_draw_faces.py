"""Tests for glasses_spark.datasets.drawn.draw_faces."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from glasses_spark.datasets.drawn.draw_faces import DrawnFaces, draw_faces
from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.errors import ConfigError, ImagesError, LabelsError

FOUR = "index,label\n3,1.0\n8,0.0\n11,\n12,nan\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(FOUR)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_contains_each_face_as_an_rgb_png(labels: Path, tmp_path: Path) -> None:
    result = draw_faces(labels, tmp_path / "new" / "faces", size=64, seed=4)

    assert result == DrawnFaces(tmp_path / "new" / "faces", 4, 1, 1, 2)
    names = {"face-3.png", "face-8.png", "face-11.png", "face-12.png", "faces.json"}
    assert set(contents(result.folder)) == names
    stored = cv2.imread(str(result.folder / "face-3.png"), cv2.IMREAD_UNCHANGED)
    expected = draw_face(3, 1.0, size=64, seed=4)
    assert np.array_equal(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), expected)


def test_the_images_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    write_labels(path, make_labels(25, 0))
    counts: dict[int, list[int]] = {1: [], 3: []}

    for processes, seen in counts.items():
        out = tmp_path / str(processes)
        draw_faces(path, out, size=64, processes=processes, on_drawn=seen.append)

    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert counts == {1: list(range(1, 26)), 3: list(range(1, 26))}


def test_a_second_call_draws_nothing(labels: Path, tmp_path: Path) -> None:
    draw_faces(labels, tmp_path / "faces", size=64)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "faces").iterdir()}
    seen: list[int] = []

    result = draw_faces(labels, tmp_path / "faces", size=64, on_drawn=seen.append)

    assert result == DrawnFaces(tmp_path / "faces", 0, 1, 1, 2)
    assert seen == []
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "faces").iterdir()} == before


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_drawing_is_repeated(labels: Path, tmp_path: Path, processes: int) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_faces(labels, tmp_path / "faces", size=64, processes=processes, on_drawn=stop)
    assert json.loads((tmp_path / "faces" / "faces.json").read_text())["complete"] is False

    assert draw_faces(labels, tmp_path / "faces", size=64).drawn == 4


@pytest.mark.parametrize("processes", [1, 2])
def test_a_face_that_cannot_be_written_is_an_error(
    labels: Path, tmp_path: Path, processes: int
) -> None:
    (tmp_path / "faces" / ".face-8.png.part").mkdir(parents=True)  # blocks writing the file

    with pytest.raises(ImagesError, match=r"face-8\.png: cannot be written"):
        draw_faces(labels, tmp_path / "faces", size=64, processes=processes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 32}, "size is 32 px: expected 64 to 1024"),
        ({"seed": -1}, "seed is -1: expected 0 or more"),
        ({"limit": 0}, "limit is 0: expected 1 or more"),
        ({"processes": 0}, "processes is 0: expected 1 or more"),
    ],
)
def test_a_number_out_of_range_is_an_error_before_anything_is_written(
    labels: Path, tmp_path: Path, arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_faces(labels, tmp_path / "faces", **arguments)  # type: ignore[arg-type]

    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(
    ("size", "seed", "text"),
    [(65, 0, FOUR), (64, 1, FOUR), (64, 0, FOUR.replace("8,0.0", "8,1.0"))],
    ids=["size", "seed", "label"],
)
def test_faces_are_drawn_again_if_size_seed_or_labels_change(
    labels: Path, tmp_path: Path, size: int, seed: int, text: str
) -> None:
    draw_faces(labels, tmp_path / "faces", size=64)
    labels.write_text(text)

    assert draw_faces(labels, tmp_path / "faces", size=size, seed=seed).drawn == 4

    draw_faces(labels, tmp_path / "new", size=size, seed=seed)
    assert contents(tmp_path / "faces") == contents(tmp_path / "new")


def test_a_deleted_face_is_drawn_again(labels: Path, tmp_path: Path) -> None:
    draw_faces(labels, tmp_path / "faces", size=64)
    before = contents(tmp_path / "faces")
    (tmp_path / "faces" / "face-8.png").unlink()

    assert draw_faces(labels, tmp_path / "faces", size=64).drawn == 4
    assert contents(tmp_path / "faces") == before


def test_faces_without_a_label_are_removed(labels: Path, tmp_path: Path) -> None:
    draw_faces(labels, tmp_path / "faces", size=64)

    result = draw_faces(labels, tmp_path / "faces", size=64, limit=2)

    assert (result.drawn, result.with_glasses, result.without_glasses) == (2, 1, 1)
    assert set(contents(result.folder)) == {"face-3.png", "face-8.png", "faces.json"}


def test_a_folder_of_other_images_is_not_changed(labels: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "photos" / "face-3.png"
    photograph.parent.mkdir()
    photograph.write_bytes(b"someone")

    with pytest.raises(ConfigError, match="not drawn by this command"):
        draw_faces(labels, photograph.parent, size=64)

    assert contents(photograph.parent) == {"face-3.png": b"someone"}


def test_a_file_at_the_path_of_the_folder_is_an_error(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "faces").write_text("a note")

    with pytest.raises(ImagesError, match=r"faces: cannot be written .*Give another folder"):
        draw_faces(labels, tmp_path / "faces", size=64)


def test_a_malformed_labels_file_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("index,label\n1,0.0\n2,2.0\n")

    with pytest.raises(LabelsError, match=r"labels\.csv: .* line 3 '2,2\.0'"):
        draw_faces(path, tmp_path / "faces")


def test_a_missing_labels_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"none\.csv: cannot be read \(No such file"):
        draw_faces(tmp_path / "none.csv", tmp_path / "faces")
