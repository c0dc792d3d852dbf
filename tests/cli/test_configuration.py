"""Tests for glasses_spark.cli.configuration."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from glasses_spark.cli.configuration import load_config, require_local_path
from glasses_spark.errors import ConfigError


def test_options_override_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[training]\nepochs = 7\nbatch_size = 16\n[store]\ndir = "pixels"\n')

    config = load_config(
        Namespace(config=str(file), set=["training.epochs=3"], no_store=True, plots=True)
    )

    assert (config.training.epochs, config.training.batch_size) == (3, 16)
    assert config.store.dir == ""
    assert config.run.plots


@pytest.mark.parametrize(
    ("location", "path"),
    [("faces", "faces"), ("/data/faces", "/data/faces"), ("file:/data/faces", "/data/faces")],
)
def test_local_paths_are_returned_without_their_scheme(location: str, path: str) -> None:
    assert require_local_path(location, "data.images", reason="-", option="--out") == path


def test_a_uri_of_another_machine_is_rejected_with_the_option_to_use() -> None:
    with pytest.raises(ConfigError) as caught:
        require_local_path(
            "hdfs:///faces", "data.images", reason="files stay on this machine", option="--out"
        )
    assert str(caught.value) == (
        "data.images is hdfs:///faces: files stay on this machine; name a local path with --out"
    )
