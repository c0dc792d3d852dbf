"""Tests for glasses_spark.runs.tracking.tensorboard, read back with TensorBoard's own reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.runs.tracking.tensorboard import write_event_files
from tests.runs.test_read import write_run

HISTORY = [
    {
        "epoch": epoch,
        "loss": loss,
        "accuracy": 0.5,
        "val_loss": loss + 0.1,
        "rows": 8,
        "workers": [{"worker": worker, "rows": 4, "seconds": 1.5} for worker in (0, 1)],
    }
    for epoch, loss in ((1, 0.75), (2, 0.25))
]


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def scalars(events: Any, name: str) -> list[tuple[int, float]]:
    from tensorboard.util import tensor_util

    return [
        (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
        for event in events.Tensors(name)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("tensorboard") / "run")
    (folder / "history.json").write_text(json.dumps(HISTORY))
    with (folder / "config.toml").open("a") as file:
        file.write('"spark.my.password" = "hunter2hunter2"\n')
    write_event_files(folder)
    return folder


def test_each_epoch_is_a_step_of_its_scalars(run: Path) -> None:
    events = read(run / "tensorboard" / "train")
    assert scalars(events, "epoch_loss") == [(1, 0.75), (2, 0.25)]
    assert scalars(events, "epoch_accuracy") == [(1, 0.5), (2, 0.5)]
    assert scalars(events, "epoch_rows") == [(1, 8.0), (2, 8.0)]
    assert scalars(events, "worker_1/seconds") == [(1, 1.5), (2, 1.5)]


def test_validation_scalars_have_the_same_names(run: Path) -> None:
    events = read(run / "tensorboard" / "validation")
    assert events.Tags()["tensors"] == ["epoch_loss"]
    # Stored as float32.
    assert dict(scalars(events, "epoch_loss")) == pytest.approx({1: 0.85, 2: 0.35})


def test_the_configuration_is_logged_as_text_without_secrets(run: Path) -> None:
    (event,) = read(run / "tensorboard" / "train").Tensors("config")
    (text,) = event.tensor_proto.string_val
    assert b'    mode = "synchronous"' in text
    assert b"hunter2" not in text


def test_event_files_are_replaced(run: Path) -> None:
    write_event_files(run)
    assert len(list((run / "tensorboard" / "train").iterdir())) == 1


def test_a_run_without_validation_has_no_validation_folder(tmp_path: Path) -> None:
    write_event_files(write_run(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run" / "tensorboard").iterdir()] == ["train"]


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a run folder"):
        write_event_files(tmp_path)
