"""Tests for glasses_spark.cli.commands.export."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from glasses_spark import Scorer
from glasses_spark.cli.main import main
from tests.cli.calls import Trained, error_of


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    """The run, without the model that train has exported."""
    copy = tmp_path / "run"
    shutil.copytree(trained.run, copy)
    (copy / "model.onnx").unlink()
    return copy


@pytest.mark.slow
def test_the_model_is_written_where_predict_finds_it(
    trained: Trained, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = str(trained.folder / "faces")
    assert main(["export", "--model", str(run), "--check", faces]) == 0
    assert "differs from Keras by at most" in capsys.readouterr().err
    # As train has written it.
    first, second = (Scorer.load(folder) for folder in (trained.run, run))
    assert first.metadata == second.metadata
    assert first.metadata.digest
    assert list(first.score(faces)) == list(second.score(faces))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "name"),
    [("openvino", "m.xml"), ("tflite", "m.tflite"), ("saved-model", "m"), ("keras", "m.keras")],
)
@pytest.mark.parametrize("kind", ["pixels", "scaled"])
def test_each_format_is_compared_with_keras(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str, name: str, kind: str
) -> None:
    out = tmp_path / name
    call = ["export", "--model", str(run), "--format", format, "--input", kind, "--out", str(out)]
    assert main(call) == 0
    assert f"{out}: differs from Keras by at most" in capsys.readouterr().err
    assert out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tflite"], "--format tflite needs --out PATH"),
        (["--input", "scaled"], "--input scaled needs --out PATH"),
    ],
)
def test_a_wrong_call_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    for name in ("config.toml", "metrics.json"):
        (tmp_path / name).write_text("" if name == "config.toml" else "{}")
    assert main(["export", "--model", str(tmp_path), *options]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.slow
def test_a_name_of_another_format_is_an_error(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(["export", "--model", str(trained.run), "--out", "model.bin"], capsys)
    assert line == "expected a name with .onnx for onnx, got model.bin"


def test_a_run_without_a_model_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config.toml", "metrics.json"):
        (tmp_path / name).write_text("" if name == "config.toml" else "{}")
    line = error_of(["export", "--model", str(tmp_path)], capsys)
    assert "expected the model of a finished run, found none" in line


@pytest.mark.slow
def test_a_link_in_the_run_folder_is_not_followed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("mine")
    (run / "model.onnx").symlink_to(tmp_path / "mine")
    assert main(["export", "--model", str(run)]) == 2
    assert "model.onnx is a link, whose target would be replaced" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine"
