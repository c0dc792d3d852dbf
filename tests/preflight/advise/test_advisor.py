"""Tests for glasses_spark.preflight.advise.advisor: measuring for real, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glasses_spark.cli.main import main
from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError, DataError, SetupError
from glasses_spark.preflight.advise.advisor import Report, advise_run
from glasses_spark.preflight.advise.forecast import advise, forecasts
from glasses_spark.preflight.advise.measure import counts_of_workers, measure
from glasses_spark.preflight.advise.probe import Task
from tests.faces import write_faces, write_labels
from tests.preflight.advise.test_forecast import LOAD, MEASURED


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (16, [1, 4, 16]), (96, [1, 16, 96])],
)
def test_few_counts_of_workers_are_measured_the_ends_among_them(
    cores: int, counts: list[int]
) -> None:
    assert list(counts_of_workers(cores)) == counts


def test_the_text_shows_every_way_and_ends_with_the_advice() -> None:
    found = forecasts(MEASURED, LOAD)
    way, precision = "asynchronous/batch", "float32"
    advice = advise(found, way=way, precision=precision, memory=10**12)

    lines = str(Report(advice, found, (way, precision), MEASURED, LOAD)).splitlines()

    assert lines[0] == "1,000 images, 10 epochs of batches of 100, on 2 cores."
    assert [line for line in lines if line.startswith("* asynchronous, hogwild / batch")]
    assert len([line for line in lines if line.startswith("* asynchronous, hogwild / ")]) == 2
    assert any(line.startswith("  plain Keras, one process ") for line in lines)
    assert lines[-1] == f"Advice: {advice.answer}: {advice.reason}."


def test_images_that_are_not_here_are_asked_for(tmp_path: Path) -> None:
    config = Config.from_dict({"data": {"images": str(tmp_path)}})

    with pytest.raises(DataError, match=r"found no \*\.png in .* wanted some to measure with"):
        advise_run(config)


def test_a_cluster_is_not_forecast(tmp_path: Path) -> None:
    write_faces(tmp_path, ["1.png"])
    table = {"data": {"images": str(tmp_path)}, "spark": {"master": "spark://host:7077"}}

    with pytest.raises(ConfigError, match=r"spark\.master is spark://host:7077"):
        advise_run(Config.from_dict(table))


def test_a_probe_that_fails_is_told_by_its_last_words(tmp_path: Path) -> None:
    task = Task(
        images=str(tmp_path),
        labels="none.csv",
        glob="*.png",
        limit=0,
        sample=[str(tmp_path / "none.png")],
        height=32,
        width=32,
        batch_size=8,
        optimizer="adam",
        loss="binary_crossentropy",
        metrics=["accuracy"],
        workers=[1],
        cores=1,
        precisions=["float32"],
        master="local[1]",
        seed=0,
    )

    with pytest.raises(SetupError, match=r"measuring \(compute\) failed: .*No such file"):
        measure(task)


@pytest.mark.slow
def test_real_images_are_measured_and_forecast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_faces(tmp_path / "faces", [f"{number}.png" for number in range(20)])
    labels = write_labels(tmp_path / "labels.csv", {number: number % 2 for number in range(20)})

    settings = {
        "data.images": images,
        "data.labels": labels,
        "image.height": 32,
        "image.width": 32,
        "training.batch_size": 8,
        "training.precision": "float32",
        "spark.master": "local[1]",
    }
    options = [one for key, value in settings.items() for one in ("--set", f"{key}={value}")]
    code = main(["advise", "--json", *options])

    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["load"]["images"] == 20
    assert told["advice"]["answer"] == "no Spark"  # of twenty images
    assert all(told["measured"][name] > 0 for name in ("decode_s", "exchange_s", "list_s"))
    assert all(one["total_s"] > one["epoch_s"] > 0 for one in told["forecasts"])
