"""Tests for glasses_spark.scoring.file_names."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.file_names import file_to_read, file_to_write, require_folder


@pytest.mark.parametrize("name", ["model", "model.v2", "model-1.0", "keras", "h5", "model.keras/"])
def test_a_name_without_a_known_suffix_is_a_folder(tmp_path: Path, name: str) -> None:
    assert file_to_write(f"{tmp_path}/{name}") is None
    require_folder(f"{tmp_path}/{name}")


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "model.keras", "a.b.keras"])
def test_a_suffix_names_a_file(tmp_path: Path, name: str) -> None:
    assert file_to_write(f"{tmp_path}/{name}") == tmp_path / name
    assert file_to_write(f"file:{tmp_path}/{name}") == tmp_path / name
    with pytest.raises(ScoringError, match=r"Spark ML folder, not an? (HDF5|Keras) file"):
        require_folder(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    "name", ["m.keras.zip", "m.zip", "m.pb", "m.onnx", "m.pkl", "m.weights.h5", "m.PB", "m.tar.gz"]
)
def test_the_suffix_of_another_format_is_refused(name: str) -> None:
    with pytest.raises(ScoringError, match=rf"^{name}: cannot save as \..*Use \.keras or \.h5"):
        file_to_write(name)


@pytest.mark.parametrize(("name", "wanted"), [("m.KERAS", "m.keras"), ("M.H5", "M.h5")])
def test_a_suffix_that_the_other_libraries_do_not_know_is_refused(name: str, wanted: str) -> None:
    with pytest.raises(ScoringError, match=rf"lower case\. Use {wanted}$"):
        file_to_write(name)


@pytest.mark.parametrize("name", ["hdfs:///m.keras", "s3a://bucket/m.h5"])
def test_a_file_is_not_written_to_another_file_system(name: str) -> None:
    with pytest.raises(ScoringError, match="file can only be saved to a local disk"):
        file_to_write(name)


def test_what_is_read_depends_on_what_is_there(tmp_path: Path) -> None:
    # Earlier versions wrote folders with such names.
    (tmp_path / "folder.keras").mkdir()
    assert file_to_read(f"{tmp_path}/folder.keras") is None
    # Elephas writes files without a suffix.
    (tmp_path / "file").touch()
    assert file_to_read(f"{tmp_path}/file") == tmp_path / "file"
    assert file_to_read("hdfs:///folder.keras") is None
    for missing in ("none.keras", "none.h5"):
        with pytest.raises(ScoringError, match="expected a saved model, but the file does not"):
            file_to_read(f"{tmp_path}/{missing}")
