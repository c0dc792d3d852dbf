"""Tests for glasses_spark.datasets.drawn.draw_faces, face and canvas."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from glasses_spark.datasets.drawn.canvas import Image
from glasses_spark.datasets.drawn.draw_faces import (
    DrawnFaces,
    draw_faces,
    make_labels,
    write_labels,
)
from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.errors import ConfigError, ImagesError, LabelsError
from tests.paths import ROOT

COMMITTED = ROOT / "labels.csv"
FOUR = "index,label\n3,1.0\n8,0.0\n11,\n12,nan\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(FOUR)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def face(index: int, label: float | None, *, size: int = 128, seed: int = 0) -> Image:
    return draw_face(index, label, size=size, seed=seed)


def test_a_face_depends_on_its_seed_index_and_label_alone() -> None:
    first = face(5, 1.0)

    np.random.seed(9)  # whatever else happens in the process
    face(6, 0.0)

    assert np.array_equal(face(5, 1.0), first)
    assert not np.array_equal(face(5, 1.0, seed=1), first)
    assert not np.array_equal(face(6, 1.0), first)
    assert not np.array_equal(face(5, 0.0), first)


@pytest.mark.parametrize("index", range(1, 41))
def test_the_label_changes_the_glasses_and_nothing_else(index: int) -> None:
    changed = (face(index, 1.0) != face(index, 0.0)).any(axis=2)

    rows, columns = np.nonzero(changed)
    # The eyes lie at 0.39 to 0.50 of the height; a lens reaches 0.12 further, tilting adds 0.05.
    assert rows.min() > 0.22 * 128
    assert rows.max() < 0.68 * 128
    assert columns.min() > 0.1 * 128
    assert columns.max() < 0.9 * 128
    assert 0.01 < changed.mean() < 0.2


def test_an_undefined_face_is_neither_with_nor_without() -> None:
    for index in range(1, 13):
        doubtful = face(index, None)
        assert not np.array_equal(doubtful, face(index, 0.0))
        assert not np.array_equal(doubtful, face(index, 1.0))
        assert np.array_equal(doubtful, face(index, math.nan))


@pytest.mark.parametrize("size", [64, 100, 700, 1024])
def test_every_size_shows_the_same_face(size: int) -> None:
    drawn = face(7, 1.0, size=size)

    assert drawn.shape == (size, size, 3)
    assert drawn.dtype == np.uint8
    small = cv2.resize(drawn, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
    usual = cv2.resize(face(7, 1.0, size=256), (64, 64), interpolation=cv2.INTER_AREA)
    other = cv2.resize(face(8, 1.0, size=256), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small - usual).mean() < 6 < 20 < np.abs(small - other).mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 63}, "size is 63 px: expected 64 to 1024"),
        ({"size": 1025}, "size is 1025 px: expected 64 to 1024"),
        ({"seed": -1}, "seed is -1"),
        ({"index": -2}, "index -2"),
        ({"label": 2.0}, "label is 2.0: expected 0.0, 1.0, or None"),
    ],
)
def test_a_face_of_impossible_arguments_is_refused(
    arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_face(**{"index": 1, "label": 1.0, "size": 64, "seed": 0, **arguments})  # type: ignore[arg-type]


def test_the_folder_holds_each_face_as_an_rgb_png(labels: Path, tmp_path: Path) -> None:
    result = draw_faces(labels, tmp_path / "new" / "faces", size=64, seed=4)

    assert result == DrawnFaces(tmp_path / "new" / "faces", 4, 1, 1, 2)
    names = {"face-3.png", "face-8.png", "face-11.png", "face-12.png", "faces.json"}
    assert set(contents(result.folder)) == names
    stored = cv2.imread(str(result.folder / "face-3.png"), cv2.IMREAD_UNCHANGED)
    expected = draw_face(3, 1.0, size=64, seed=4)
    assert np.array_equal(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), expected)


def test_the_number_of_processes_changes_no_byte(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("size", "seed", "text"),
    [(65, 0, FOUR), (64, 1, FOUR), (64, 0, FOUR.replace("8,0.0", "8,1.0"))],
    ids=["size", "seed", "label"],
)
def test_whatever_changes_the_pictures_draws_them_again(
    labels: Path, tmp_path: Path, size: int, seed: int, text: str
) -> None:
    draw_faces(labels, tmp_path / "faces", size=64)
    labels.write_text(text)

    assert draw_faces(labels, tmp_path / "faces", size=size, seed=seed).drawn == 4

    draw_faces(labels, tmp_path / "afresh", size=size, seed=seed)
    assert contents(tmp_path / "faces") == contents(tmp_path / "afresh")


def test_a_lost_face_is_drawn_again(labels: Path, tmp_path: Path) -> None:
    draw_faces(labels, tmp_path / "faces", size=64)
    before = contents(tmp_path / "faces")
    (tmp_path / "faces" / "face-8.png").unlink()

    assert draw_faces(labels, tmp_path / "faces", size=64).drawn == 4
    assert contents(tmp_path / "faces") == before


def test_faces_no_longer_asked_for_are_removed(labels: Path, tmp_path: Path) -> None:
    draw_faces(labels, tmp_path / "faces", size=64)

    result = draw_faces(labels, tmp_path / "faces", size=64, limit=2)

    assert (result.drawn, result.with_glasses, result.without_glasses) == (2, 1, 1)
    assert set(contents(result.folder)) == {"face-3.png", "face-8.png", "faces.json"}


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_drawing_is_taken_up_again(
    labels: Path, tmp_path: Path, processes: int
) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_faces(labels, tmp_path / "faces", size=64, processes=processes, on_drawn=stop)
    assert json.loads((tmp_path / "faces" / "faces.json").read_text())["complete"] is False

    assert draw_faces(labels, tmp_path / "faces", size=64).drawn == 4


def test_a_folder_of_other_pictures_is_left_alone(labels: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "photos" / "face-3.png"
    photograph.parent.mkdir()
    photograph.write_bytes(b"someone")

    with pytest.raises(ConfigError, match="not drawn here; name an empty folder"):
        draw_faces(labels, photograph.parent, size=64)

    assert contents(photograph.parent) == {"face-3.png": b"someone"}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_face_that_cannot_be_written_is_named(
    labels: Path, tmp_path: Path, processes: int
) -> None:
    (tmp_path / "faces" / ".face-8.png.part").mkdir(parents=True)  # in the way of the file

    with pytest.raises(ImagesError, match=r"face-8\.png: cannot be written"):
        draw_faces(labels, tmp_path / "faces", size=64, processes=processes)


def test_a_file_in_the_place_of_the_folder_is_named(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "faces").write_text("a note")

    with pytest.raises(ImagesError, match=r"faces: cannot be written .* name another folder"):
        draw_faces(labels, tmp_path / "faces", size=64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 32}, "size is 32 px: expected 64 to 1024"),
        ({"seed": -1}, "seed is -1: expected 0 or more"),
        ({"limit": 0}, "limit is 0: expected 1 or more"),
        ({"processes": 0}, "processes is 0: expected 1 or more"),
    ],
)
def test_a_number_out_of_range_is_refused_before_anything_is_made(
    labels: Path, tmp_path: Path, arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_faces(labels, tmp_path / "faces", **arguments)  # type: ignore[arg-type]

    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "expected the header index,label, got an empty file", id="empty"),
        pytest.param("id,label\n1,0.0\n", "header index,label, got id,label", id="other header"),
        pytest.param("index,label\n", "no row below its header", id="header only"),
        pytest.param("index,label\n1,0.0\n2,2.0\n", "line 3: label is 2.0", id="third class"),
        pytest.param("index,label\nx,1.0\n", "line 2: .* got x,1.0", id="no number"),
        pytest.param("index,label\n1\n", "line 2: .* got 1", id="no label"),
        pytest.param("index,label\n3000000000,1.0\n", "at most 2147483647", id="too large"),
        pytest.param("index,label\n7,0.0\n7,1.0\n", "index 7 comes 2 times", id="repeated"),
    ],
)
def test_a_bad_labels_file_is_shown_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)

    with pytest.raises(LabelsError, match=message):
        draw_faces(path, tmp_path / "faces")


def test_a_labels_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\xff\xff")

    with pytest.raises(LabelsError, match=r"picture\.csv: is not a text file"):
        draw_faces(tmp_path / "picture.csv", tmp_path / "faces")
    with pytest.raises(LabelsError, match=r"none\.csv: cannot be read \(No such file"):
        draw_faces(tmp_path / "none.csv", tmp_path / "faces")


def test_the_committed_labels_are_what_the_generator_makes(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", make_labels(2400, 0))

    assert COMMITTED.read_bytes() == (tmp_path / "labels.csv").read_bytes()


def test_the_committed_labels_are_mixed_as_promised() -> None:
    rows = [line.split(",") for line in COMMITTED.read_text().splitlines()]
    kinds = Counter(label for _, label in rows[1:])

    assert rows[0] == ["index", "label"]
    assert [int(index) for index, _ in rows[1:]] == list(range(1, 2401))
    assert kinds == {"1.0": 1339, "0.0": 1052, "": 6, "nan": 3}
    first = Counter(label for _, label in rows[1:1201])
    assert abs(first["1.0"] - kinds["1.0"] / 2) < 60  # in no order


def test_too_few_labels_are_refused() -> None:
    with pytest.raises(ConfigError, match="rows is 8"):
        make_labels(8, 0)
