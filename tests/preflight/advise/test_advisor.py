"""Tests for glasses_spark.preflight.advise.advisor, which measures this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glasses_spark.cli.main import main
from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.preflight.advise.advice import advise
from glasses_spark.preflight.advise.advisor import Report, advise_run
from glasses_spark.preflight.advise.forecast import forecast_all
from tests.faces import write_faces, write_labels
from tests.preflight.advise.test_forecast import LOAD, MEASURED


def test_the_text_lists_all_ways_and_ends_with_the_advice() -> None:
    forecasts = forecast_all(MEASURED, LOAD)
    way, precision = "asynchronous/batch", "float32"
    advice = advise(forecasts, way=way, precision=precision, memory=10**12)

    lines = str(Report(advice, forecasts, (way, precision), MEASURED, LOAD)).splitlines()

    assert lines[0] == "1,000 images, 10 epochs of batches of 100, on 2 cores."
    assert [line for line in lines if line.startswith("* asynchronous, hogwild / batch")]
    assert len([line for line in lines if line.startswith("* asynchronous, hogwild / ")]) == 2
    assert any(line.startswith("  plain Keras, one process ") for line in lines)
    assert lines[-1] == f"Advice: {advice.answer}: {advice.reason}."


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    config = Config.from_dict({"data": {"images": str(tmp_path)}})

    with pytest.raises(DataError, match=r"found no \*\.png in .* needs some images to measure"):
        advise_run(config)


def test_a_cluster_is_an_error(tmp_path: Path) -> None:
    write_faces(tmp_path, ["1.png"])
    table = {"data": {"images": str(tmp_path)}, "spark": {"master": "spark://host:7077"}}

    with pytest.raises(ConfigError, match=r"spark\.master=spark://host:7077 is not local"):
        advise_run(Config.from_dict(table))


@pytest.mark.slow
@pytest.mark.rotated
def test_a_run_on_images_is_measured_and_forecast(
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
    options = [word for item in settings.items() for word in ("--set", "=".join(map(str, item)))]
    code = main(["advise", "--json", *options])

    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["load"]["images"] == 20
    # Which way is the fastest depends on the load of the machine.
    assert report["advice"]["best"] in report["forecasts"]
    assert all(report["measured"][name] > 0 for name in ("decode_s", "exchange_s", "list_s"))
    assert all(row["total_s"] > row["epoch_s"] > 0 for row in report["forecasts"])
