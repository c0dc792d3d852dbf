"""Tests for glasses_spark.scorer.scorer: an exported model without Spark."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from glasses_spark import build_cnn
from glasses_spark.errors import ImagesError, ScoringError
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.scorer import scorer as scorer_module
from glasses_spark.scorer.face_detector import Face
from glasses_spark.scorer.photo import decode_photo
from glasses_spark.scorer.scorer import BATCH, Score, Scorer
from glasses_spark.scoring.export import export_model, with_pixel_input
from glasses_spark.scoring.model_metadata import ModelMetadata
from glasses_spark.scoring.pixel_statistics import measure_pixels, summarize
from glasses_spark.scoring.runtimes import RUNTIMES
from tests.faces import encode_png, noise_png

SIDE = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model that takes pixels, in a folder as a run has it."""
    path = tmp_path_factory.mktemp("run") / "model.onnx"
    metadata = ModelMetadata(height=SIDE, width=SIDE, takes_pixels=True, threshold=0.4)
    network = with_pixel_input(build_cnn(SIDE, SIDE, seed=3))
    export_model(network, path, metadata, format="onnx")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """More images than a batch has, and one that is none."""
    for number in range(BATCH + 3):
        (tmp_path / f"{number:02}.png").write_bytes(noise_png(40, 50, seed=number))
    (tmp_path / "05.png").write_text("text")
    return tmp_path


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_probabilities_are_those_of_keras(model: Path, photos: Path, runtime: str) -> None:
    scores = list(Scorer.load(model, runtime=runtime).score(photos))
    assert [Path(score.name).name for score in scores] == sorted(p.name for p in photos.iterdir())
    good = [score for score in scores if score.error is None]
    pixels = [decode(Path(score.name).read_bytes(), SIDE, SIDE) for score in good]
    scaled = np.stack(pixels)[..., np.newaxis].astype(np.float32) / np.float32(255)
    expected = build_cnn(SIDE, SIDE, seed=3).predict(scaled, verbose=0)[:, 0]
    assert [score.probability for score in good] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [score.label for score in good] == [int(p >= 0.4) for p in expected]
    assert [Path(score.name).name for score in scores if score.error] == ["05.png"]


def test_a_file_in_memory_has_the_score_of_the_file(model: Path, photos: Path) -> None:
    scorer = Scorer.load(model.parent)  # a folder, as a run's
    (from_file,) = scorer.score(photos / "00.png")
    from_memory = scorer.score_bytes((photos / "00.png").read_bytes(), name="upload")
    assert from_memory.probability == pytest.approx(from_file.probability, abs=1e-6)
    assert from_memory.name == "upload"
    assert scorer.score_bytes(b"GIF89a").error == "not a PNG or JPEG file"
    assert scorer.score_bytes(b"").error == "empty file"


def test_the_threshold_decides_the_label(model: Path, photos: Path) -> None:
    lowest = Scorer.load(model, threshold=0)
    assert lowest.score_bytes(noise_png()).label == 1
    assert Scorer.load(model, threshold=1).score_bytes(noise_png()).label == 0
    with pytest.raises(ScoringError, match=r"threshold: expected a number from 0 to 1, got 2"):
        Scorer.load(model, threshold=2)


def test_a_process_that_scores_imports_neither_tensorflow_nor_spark(
    model: Path, photos: Path
) -> None:
    program = (
        "import json, sys\n"
        "from glasses_spark import Scorer\n"
        "scores = list(Scorer.load(sys.argv[1]).score(sys.argv[2]))\n"
        "found = [name for name in ('tensorflow', 'keras', 'pyspark', 'py4j', 'pandas')"
        " if name in sys.modules]\n"
        "print(json.dumps([len(scores), found]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model), str(photos)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [BATCH + 3, []]


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((2, SIDE, SIDE), np.float32),
        np.zeros((2, SIDE, SIDE + 1), np.uint8),
        np.zeros((SIDE, SIDE), np.uint8),
    ],
    ids=["type", "shape", "no batch"],
)
def test_another_batch_is_an_error(model: Path, batch: NDArray[Any]) -> None:
    scorer = Scorer.load(model)
    assert scorer.predict(np.zeros((2, SIDE, SIDE), np.uint8)).shape == (2, 1)
    with pytest.raises(ScoringError, match=rf"expected uint8 of shape \(rows, {SIDE}, {SIDE}\)"):
        scorer.predict(batch)


def faces_of(grey: NDArray[np.uint8]) -> list[Face]:
    """A detector for tests: a face in each quarter whose middle is white."""
    rows, columns = (side // 4 for side in grey.shape)
    found = []
    for y, x in ((y, x) for y in (rows, 3 * rows) for x in (columns, 3 * columns)):
        if grey[y, x] == 255:
            side = 2 * columns
            eyes = ((x - side / 8, y - side / 40), (x + side / 8, y - side / 40))
            found.append(Face((x, y), (side, side), eyes, (x, y + side * 0.225)))
    return found


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_align_scores_the_face_in_a_larger_picture(
    model: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(scorer_module, "open_detector", lambda: faces_of)
    face = cv2.resize(decode(noise_png(6, 6, seed=1), 6, 6), (128, 128))
    face[60:68, 60:68] = 255
    picture = np.full((256, 256), 90, np.uint8)
    picture[:128, 128:] = face

    def encode(pixels: NDArray[np.uint8]) -> bytes:
        if form == "png":
            return encode_png(pixels)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=100)
        return content.getvalue()

    found = decode_photo("", lambda: encode(picture), height=32, width=32, detect=faces_of).pixels
    assert found is not None
    assert np.abs(found.astype(int) - cv2.resize(face, (32, 32))).max() <= 8
    aligned = Scorer.load(model, align=True)
    expected = Scorer.load(model).score_bytes(encode(face)).probability
    assert aligned.score_bytes(encode(picture)).probability == pytest.approx(expected, abs=1e-3)

    picture[128:, :128] = face
    several = aligned.score_bytes(encode(picture), name="pair")
    assert several == Score("pair", error="2 faces found; crop the picture to one")
    assert aligned.score_bytes(encode(picture[:100, :100])).error == "no face found"
    assert aligned.score_bytes(b"GIF89a").error == "not a PNG or JPEG file"


def test_a_model_that_knows_its_training_pixels_warns_of_other_pictures(
    model: Path, photos: Path
) -> None:
    # An older model, without the field, gives no warnings.
    assert all(score.warning is None for score in Scorer.load(model).score(photos))

    noise = [decode(noise_png(40, 50, seed=seed), SIDE, SIDE) for seed in range(500)]
    statistics = summarize(np.array([measure_pixels(pixels) for pixels in noise]))
    assert statistics is not None
    changed = onnx.load_model_from_string(model.read_bytes())
    (entry,) = changed.metadata_props
    metadata = json.loads(entry.value)
    entry.value = json.dumps(metadata | {"training_pixels": statistics.as_dict()})
    scorer = Scorer(changed.SerializeToString())
    similar, black = (
        scorer.score_bytes(content)
        for content in (noise_png(40, 50, seed=3), encode_png(np.zeros((40, 50), np.uint8)))
    )
    assert similar.warning is None
    assert black.probability is not None
    assert black.error is None
    assert black.warning is not None
    assert black.warning.startswith("unlike the training pictures: darker, ")

    entry.value = json.dumps(metadata | {"training_pixels": {"rows": 3}})
    with pytest.raises(ScoringError, match="training_pixels of another form"):
        Scorer(changed.SerializeToString())


def test_a_location_without_images_is_an_error(model: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ImagesError, match="no image file found"):
        list(Scorer.load(model).score(tmp_path))


def test_what_is_no_model_of_this_library_is_an_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"model\.onnx: no such file\. Write it: glasses-spark"):
        Scorer.load(tmp_path)
    with pytest.raises(ScoringError, match=r"none\.onnx: no such file\. Correct the path"):
        Scorer.load(tmp_path / "none.onnx")
    for name, content, message in (
        ("empty", b"", "found one without the metadata"),
        ("text", b"not a model", "expected an ONNX file"),
        ("cut", model.read_bytes()[:1000], "expected an ONNX file"),
    ):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(ScoringError, match=message):
            Scorer.load(path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"height": 0}, "height=0"),
        ({"height": 10**9}, "height=1000000000"),
        ({"height": 16_384, "width": 16_384}, "width=16384"),
        ({"threshold": 2}, "threshold=2"),
        ({"threshold": "0.5"}, "threshold='0.5'"),
        ({"other": 1}, "unexpected keyword argument 'other'"),
        ({"labels": 3}, "'int' object is not iterable"),
    ],
    ids=["zero", "huge", "area", "range", "type", "unknown", "labels"],
)
def test_metadata_of_a_stranger_are_checked(
    model: Path, change: dict[str, object], found: str
) -> None:
    changed = onnx.load_model_from_string(model.read_bytes())
    (entry,) = changed.metadata_props
    entry.value = json.dumps(json.loads(entry.value) | change)
    with pytest.raises(ScoringError, match=f"expected the metadata .*{found}"):
        Scorer(changed.SerializeToString())


def test_a_model_that_refers_to_another_file_is_not_loaded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ONNX may keep weights in files beside it, by a path of the model's choice.
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(10_000_000))
    changed = onnx.load_model_from_string(model.read_bytes())
    weight = max(changed.graph.initializer, key=lambda each: len(each.raw_data))
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret")
    monkeypatch.chdir(tmp_path)
    inner = onnx.load_model_from_string(model.read_bytes())
    branch = onnx.helper.make_attribute("then_branch", changed.graph)
    inner.graph.node[0].attribute.append(branch)
    for runtime in ("openvino", "onnx"):
        for each in (changed, inner):
            with pytest.raises(ScoringError, match="found one that refers to other files"):
                Scorer(each.SerializeToString(), runtime=runtime)


def test_numbers_that_are_no_probabilities_are_an_error(model: Path) -> None:
    for weight in (np.nan, np.inf, 2.0):
        changed = onnx.load_model_from_string(model.read_bytes())
        (output,) = changed.graph.output
        node = next(node for node in changed.graph.node if output.name in node.output)
        node.output[0] = "before"
        changed.graph.initializer.append(
            onnx.numpy_helper.from_array(np.full((1,), weight, np.float32), "factor")
        )
        scale = onnx.helper.make_node("Div", ["factor", "before"], [output.name])
        changed.graph.node.append(scale)
        with pytest.raises(ScoringError, match="expected probabilities from 0 to 1, got"):
            Scorer(changed.SerializeToString()).score_bytes(noise_png())


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(ScoringError, match=r"expected a file of at most .* found something else"):
        Scorer.load(tmp_path)
