"""Tests for glasses_spark.pipeline.pipeline: a whole run, small but real."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import accuracy_score, log_loss

from glasses_spark.cli.main import main
from glasses_spark.config.config import Config
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.errors import ConfigError, ScoringError
from glasses_spark.pipeline.pipeline import GlassesPipeline
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.runs.result import Result
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.transformer import GlassesModel

FACES = 40
EPOCHS = 6


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Configuration of a run on 40 small faces, one of which gets damaged."""
    folder = tmp_path_factory.mktemp("pipeline")
    write_labels(folder / "labels.csv", make_labels(FACES, seed=1))
    draw_faces(folder / "labels.csv", folder / "faces", size=64, processes=1)
    return Config.from_dict(
        {
            "data": {
                "images": str(folder / "faces"),
                "labels": str(folder / "labels.csv"),
                "max_bad_fraction": 0.1,
            },
            "image": {"height": 32, "width": 32},
            "split": {"test": 0.3, "validation": 0.2},
            "evaluation": {"calibrate": True, "cost_false_negative": 5},
            "training": {
                "epochs": EPOCHS,
                "batch_size": 8,
                "num_workers": 2,
                "mode": "synchronous",
                # High enough for the model to learn something in these few epochs.
                "learning_rate": 0.003,
            },
            "run": {"dir": str(folder / "run"), "seed": 3},
            "store": {"dir": str(folder / "pixels")},
            "tracking": {
                "mlflow": find_spec("mlflow") is not None,
                "uri": str(folder / "mlruns"),
                "tensorboard": True,
            },
        }
    )


@pytest.fixture(scope="module")
def result(spark: SparkSession, config: Config) -> Result:
    labelled = [index for index, label in make_labels(FACES, seed=1) if label not in ("", "nan")]
    broken = Path(config.data.images) / f"face-{labelled[0]}.png"
    broken.write_bytes(broken.read_bytes()[:500])
    spark.catalog.clearCache()
    return GlassesPipeline(config).run(spark)


@pytest.mark.slow
class TestRun:
    def test_every_image_is_counted(self, result: Result) -> None:
        data = result.data
        assert data["images"] == FACES
        assert data["quarantined"] == 1
        assert result.validation is not None
        assert data["used"] == sum(
            part.rows for part in (result.train, result.validation, result.test)
        )
        assert [data[name] for name in result.parts] == [p.rows for p in result.parts.values()]
        left_out = data["undefined_label"] + data["unlabelled"] + data["quarantined"]
        assert data["images"] == data["used"] + left_out
        assert result.quarantine == {"truncated": 1}

    def test_history_counts_the_rows_of_each_epoch(self, result: Result) -> None:
        assert [record["epoch"] for record in result.history] == [*range(1, EPOCHS + 1)]
        for record in result.history:
            assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(record)
            assert record["rows"] == sum(worker["rows"] for worker in record["workers"])
            assert record["rows"] == result.train.rows  # without the validation rows

    def test_the_run_folder_has_all_files(self, result: Result) -> None:
        assert sorted(path.name for path in result.run_dir.iterdir()) == [
            "MODEL_CARD.md",
            "config.toml",
            "curves.json",
            "history.json",
            "metrics.json",
            "model",
            "model.keras",
            "model.onnx",
            "predictions.parquet",
            "quarantine.csv",
            "report.html",
            "tensorboard",
        ]

    def test_metrics_json_has_all_keys(self, result: Result) -> None:
        metrics = json.loads((result.run_dir / "metrics.json").read_text())

        parts, chosen = ["train", "validation", "test"], ["thresholds", "calibration"]
        rest = ["data", "quarantine", "store", "timings", "environment", "digests"]
        assert list(metrics) == [*parts, *chosen, *rest]
        assert [len(bytes.fromhex(digest)) for digest in metrics["digests"].values()] == [8, 8]
        assert metrics["store"] == {"decoded": result.decoded, "reused": result.reused}
        data = metrics["data"]
        assert result.decoded + result.reused == data["used"] + data["quarantined"]
        names = {"rows", "accuracy", "log_loss", "stable_log_loss", "roc_auc"}
        assert names <= set(metrics["train"])
        for name, part in result.parts.items():
            assert metrics[name] == part.as_dict()
        curves = json.loads((result.run_dir / "curves.json").read_text())
        assert list(curves) == parts
        assert curves["test"] == result.curves["test"].as_dict()
        assert {
            "images",
            "used",
            "undefined_label",
            "unlabelled",
            "label_without_image",
            "quarantined",
        } <= set(metrics["data"])
        seconds = metrics["timings"]
        assert list(seconds) == ["preprocess_s", "fit_s", "score_s", "total_s"]
        assert seconds["total_s"] >= seconds["preprocess_s"] + seconds["fit_s"]
        assert json.loads((result.run_dir / "history.json").read_text()) == result.history

    def test_the_resolved_configuration_is_written(self, result: Result, config: Config) -> None:
        assert Config.load(result.run_dir / "config.toml") == config

    def test_the_metrics_are_those_of_the_written_predictions(self, result: Result) -> None:
        table = pq.read_table(result.run_dir / "predictions.parquet")

        assert table.column_names == [
            "id",
            "path",
            "label",
            "split",
            "prediction",
            "predicted_label",
        ]
        rows = table.to_pylist()
        ids = [row["id"] for row in rows]
        assert ids == sorted(set(ids))
        test = [row for row in rows if row["split"] == "test"]
        labels = [row["label"] for row in test]
        assert accuracy_score(labels, [row["predicted_label"] for row in test]) == pytest.approx(
            result.test.accuracy
        )
        probabilities = [row["prediction"][0] for row in test]
        assert log_loss(labels, probabilities) == pytest.approx(result.test.log_loss)
        counts = Counter(row["split"] for row in rows)
        assert counts == {name: part.rows for name, part in result.parts.items()}

    def test_the_temperature_is_fitted_on_the_validation_rows_and_set_in_the_model(
        self, result: Result
    ) -> None:
        assert result.calibration is not None
        temperature, validation = result.calibration.temperature, result.validation
        assert validation is not None
        assert temperature is not None
        assert temperature != 1.0
        assert result.model.get_temperature() == temperature
        assert result.calibration.fitted_on == validation.rows
        before, after = result.calibration.before, result.calibration.after
        assert after["validation"].log_loss < before["validation"].log_loss
        assert after["test"].log_loss == result.test.log_loss
        # The loss that early stopping uses: of the last epoch, without the temperature.
        assert before["validation"].log_loss == pytest.approx(
            result.history[-1]["val_loss"], abs=1e-4
        )

    def test_thresholds_are_chosen_on_the_validation_rows(self, result: Result) -> None:
        assert result.thresholds is not None
        assert list(result.thresholds.best) == ["accuracy", "cost", "balanced_accuracy"]
        configured = result.thresholds.configured.outcomes
        assert list(configured) == ["validation", "test"]
        assert configured["test"].accuracy == result.test.accuracy
        baseline = configured["validation"]
        for name, choice in result.thresholds.best.items():
            outcome = choice.outcomes["validation"]
            if name == "cost":
                assert outcome.cost <= baseline.cost
            else:
                assert getattr(outcome, name) >= getattr(baseline, name)

    def test_the_report_shows_wrong_and_uncertain_faces_of_the_test_set(
        self, result: Result
    ) -> None:
        page = (result.run_dir / "report.html").read_text()
        rows = pq.read_table(result.run_dir / "predictions.parquet").to_pylist()
        test = [row for row in rows if row["split"] == "test"]
        wrong = [row for row in test if row["label"] != row["predicted_label"]]
        shown = {int(number) for number in re.findall(r'alt="Image (\d+):', page)}
        nearest = sorted(test, key=lambda row: (abs(row["prediction"][0] - 0.5), row["id"]))
        assert shown == {row["id"] for row in [*wrong[:12], *nearest[:12]]}
        assert len(re.findall("Occlusion map of image", page)) >= len(shown)

    def test_the_quarantine_names_the_damaged_file(self, result: Result) -> None:
        header, row = (result.run_dir / "quarantine.csv").read_text().splitlines()
        assert header == "path,reason,detail"
        assert ".png," in row

    def test_both_saved_models_give_the_written_predictions(
        self, result: Result, config: Config, spark: SparkSession
    ) -> None:
        rows = pq.read_table(result.run_dir / "predictions.parquet").slice(0, 5).to_pylist()
        files = [Path(row["path"].removeprefix("file:")) for row in rows]
        pixels = [decode(file.read_bytes(), 32, 32) for file in files]
        expected = [row["prediction"][0] for row in rows]

        network = import_keras().models.load_model(result.run_dir / "model.keras")
        images = np.stack(pixels)[..., None].astype("float32") / 255
        assert network.predict(images, verbose=0)[:, 0] == pytest.approx(expected, abs=1e-5)

        model = GlassesModel.load((result.run_dir / "model").as_uri())
        frame = spark.createDataFrame(
            [(number, image.tobytes()) for number, image in enumerate(pixels)],
            "number INT, pixels BINARY",
        )
        scored = model.transform(frame).orderBy("number").collect()
        assert [row.prediction[0] for row in scored] == pytest.approx(expected, abs=1e-5)

    def test_the_result_is_shown_as_a_table(self, result: Result) -> None:
        lines = repr(result).splitlines()
        assert lines[0].split() == ["train", "validation", "test"]
        assert lines[-1] == f"Results: {result.run_dir}"
        assert any(line.startswith("stable log loss") for line in lines)

    @pytest.mark.skipif(find_spec("mlflow") is None, reason="the extra mlflow is not installed")
    def test_the_run_is_logged_to_mlflow_and_its_epochs_to_tensorboard(
        self, result: Result, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=Path(config.tracking.uri).as_uri())
        experiment = client.get_experiment_by_name("glasses-spark")
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.info.status == "FINISHED"
        assert run.data.params["training.mode"] == "synchronous"
        assert run.data.metrics["test.accuracy"] == result.test.accuracy
        points = client.get_metric_history(run.info.run_id, "val_loss")
        assert [point.value for point in points] == [epoch["val_loss"] for epoch in result.history]
        parts = sorted(path.name for path in (result.run_dir / "tensorboard").iterdir())
        assert parts == ["train", "validation"]

    def test_only_the_predictions_stay_persisted(self, result: Result, spark: SparkSession) -> None:
        result.predictions.count()
        # Spark forgets what nobody refers to with a collection of Java.
        deadline = time.monotonic() + 30
        while len(persisted := _persisted(spark)) > 1 and time.monotonic() < deadline:
            _collect_garbage(spark)
            time.sleep(0.1)
        assert len(persisted) == 1, persisted


def _collect_garbage(spark: SparkSession) -> None:
    jvm: Any = spark.sparkContext._jvm
    jvm.System.gc()


def _persisted(spark: SparkSession) -> dict[int, str]:
    persisted = spark.sparkContext._jsc.getPersistentRDDs()
    return {number: persisted[number].toString() for number in persisted}


def test_prepare_needs_a_store(config: Config, spark: SparkSession) -> None:
    table = config.to_dict()
    table["store"]["dir"] = ""
    with pytest.raises(ConfigError, match=r"store\.dir: expected a folder for the pixel store"):
        GlassesPipeline(Config.from_dict(table)).prepare(spark)


@pytest.mark.slow
def test_the_stages_one_by_one_give_the_model_of_a_run(
    result: Result, config: Config, spark: SparkSession
) -> None:
    pipeline = GlassesPipeline(config)
    train, test = pipeline.split(pipeline.preprocess(pipeline.load(spark)).good)
    model = pipeline.fit(train)
    calibration = pipeline.calibrate(model, pipeline.predict(model, train))
    metrics = pipeline.evaluate(pipeline.predict(model, test))
    spark.catalog.clearCache()

    assert metrics.rows == result.test.rows
    # Synchronous training is the same each time, to float rounding.
    assert result.calibration is not None
    assert calibration.temperature == pytest.approx(result.calibration.temperature, rel=1e-3)
    assert metrics.log_loss == pytest.approx(result.test.log_loss, abs=1e-3)


class FailsToScore(GlassesPipeline):
    """A pipeline that runs out of something once the model is fitted."""

    def predict(self, model: GlassesModel, pixels: DataFrame) -> DataFrame:
        raise ScoringError("out of memory")


@pytest.mark.slow
def test_a_run_that_fails_after_the_fit_names_a_model_that_can_be_used(
    result: Result, config: Config, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in result.run_dir.iterdir())
    table = config.to_dict()
    table["training"]["epochs"] = 1

    with pytest.raises(ScoringError, match=r"out of memory\. The fitted model is in") as error:
        FailsToScore(Config.from_dict(table)).run(spark)

    kept = result.run_dir.with_name("run-unfinished")
    assert str(kept) in str(error.value)
    image = next(Path(config.data.images).glob("face-*.png"))
    assert main(["predict", "--csv", "--model", str(kept), str(image)]) == 0
    assert f"{image}," in capsys.readouterr().out
    assert main(["evaluate", "--model", str(kept), "--part", "test"]) == 0
    # The earlier results are as before, with the checkpoint of this run.
    assert sorted(path.name for path in result.run_dir.iterdir()) == sorted(["checkpoint", *before])
