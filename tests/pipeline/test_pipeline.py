"""Tests for glasses_spark.pipeline.pipeline: a whole run, small but real."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import accuracy_score, log_loss

from glasses_spark.config.config import Config
from glasses_spark.datasets.drawn.draw_faces import draw_faces, make_labels, write_labels
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.pipeline.pipeline import GlassesPipeline
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.split import split_column
from glasses_spark.runs.result import Result
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.transformer import GlassesModel
from tests import faces
from tests.faces import noise_png, write_faces

FACES = 40
EPOCHS = 6


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """40 small faces with their labels, one of them damaged, and a run to make of them."""
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
                # So that these few epochs teach it enough for a temperature.
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
    def test_every_image_is_accounted_for(self, result: Result) -> None:
        data = result.data
        assert data["images"] == FACES
        assert data["quarantined"] == 1
        assert result.validation is not None
        assert data["used"] == sum(
            part.rows for part in (result.train, result.validation, result.test)
        )
        left_out = data["undefined_label"] + data["unlabelled"] + data["quarantined"]
        assert data["images"] == data["used"] + left_out

    def test_history_counts_the_rows_of_each_epoch(self, result: Result) -> None:
        assert [record["epoch"] for record in result.history] == [*range(1, EPOCHS + 1)]
        for record in result.history:
            assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(record)
            assert record["rows"] == sum(worker["rows"] for worker in record["workers"])
            assert record["rows"] == result.train.rows  # the validation rows are held back

    def test_the_run_folder_has_what_it_should_have(self, result: Result) -> None:
        assert sorted(path.name for path in result.run_dir.iterdir()) == [
            "config.toml",
            "curves.json",
            "history.json",
            "metrics.json",
            "model",
            "model.keras",
            "predictions.parquet",
            "quarantine.csv",
            "report.html",
            "tensorboard",
        ]

    def test_metrics_json_has_the_promised_keys(self, result: Result) -> None:
        metrics = json.loads((result.run_dir / "metrics.json").read_text())

        parts, chosen = ["train", "validation", "test"], ["thresholds", "calibration"]
        rest = ["data", "store", "timings", "environment", "digests"]
        assert list(metrics) == [*parts, *chosen, *rest]
        assert [len(bytes.fromhex(one)) for one in metrics["digests"].values()] == [8, 8]
        assert metrics["store"] == {"decoded": result.decoded, "reused": result.reused}
        data = metrics["data"]
        assert result.decoded + result.reused == data["used"] + data["quarantined"]
        wanted = {"rows", "accuracy", "log_loss", "stable_log_loss", "roc_auc"}
        assert wanted <= set(metrics["train"])
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

    def test_the_configuration_is_kept_as_resolved(self, result: Result, config: Config) -> None:
        assert Config.load(result.run_dir / "config.toml") == config

    def test_metrics_follow_from_the_predictions_that_were_written(self, result: Result) -> None:
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

    def test_the_temperature_comes_from_the_validation_rows_and_stays_in_the_model(
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
        # As early stopping looks at it: the model of the last epoch, before the temperature.
        assert before["validation"].log_loss == pytest.approx(
            result.history[-1]["val_loss"], abs=1e-4
        )

    def test_thresholds_are_chosen_on_the_validation_rows(self, result: Result) -> None:
        assert result.thresholds is not None
        assert list(result.thresholds.best) == ["accuracy", "cost", "balanced_accuracy"]
        configured = result.thresholds.configured.outcomes
        assert list(configured) == ["validation", "test"]
        assert configured["test"].accuracy == result.test.accuracy
        there = configured["validation"]
        for name, choice in result.thresholds.best.items():
            here = choice.outcomes["validation"]
            if name == "cost":
                assert here.cost <= there.cost
            else:
                assert getattr(here, name) >= getattr(there, name)

    def test_the_report_shows_faces_of_the_test_part_and_what_they_were_taken_for(
        self, result: Result
    ) -> None:
        page = (result.run_dir / "report.html").read_text()
        rows = pq.read_table(result.run_dir / "predictions.parquet").to_pylist()
        test = [row for row in rows if row["split"] == "test"]
        wrong = [row for row in test if row["label"] != row["predicted_label"]]
        shown = {int(found) for found in re.findall(r'alt="Face (\d+):', page)}
        nearest = sorted(test, key=lambda row: (abs(row["prediction"][0] - 0.5), row["id"]))
        assert shown == {row["id"] for row in [*wrong[:12], *nearest[:12]]}
        assert len(re.findall("What the answer for face", page)) >= len(shown)

    def test_the_quarantine_names_the_damaged_file(self, result: Result) -> None:
        header, row = (result.run_dir / "quarantine.csv").read_text().splitlines()
        assert header == "path,reason"
        assert ".png," in row

    def test_both_saved_models_predict_what_was_written(
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
            [(place, image.tobytes()) for place, image in enumerate(pixels)],
            "place INT, pixels BINARY",
        )
        scored = model.transform(frame).orderBy("place").collect()
        assert [row.prediction[0] for row in scored] == pytest.approx(expected, abs=1e-5)

    def test_the_result_reads_well(self, result: Result) -> None:
        lines = repr(result).splitlines()
        assert lines[0].split() == ["train", "validation", "test"]
        assert lines[-1] == f"Results: {result.run_dir}"
        assert any(line.startswith("stable log loss") for line in lines)

    @pytest.mark.skipif(find_spec("mlflow") is None, reason="the extra mlflow is not installed")
    def test_mlflow_has_the_run_and_tensorboard_its_epochs(
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
        assert [point.value for point in points] == [one["val_loss"] for one in result.history]
        parts = sorted(path.name for path in (result.run_dir / "tensorboard").iterdir())
        assert parts == ["train", "validation"]

    @pytest.mark.skipif(find_spec("mlflow") is None, reason="the extra mlflow is not installed")
    def test_where_tracking_fails_the_run_is_complete_and_the_reason_is_told(
        self, result: Result, config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("no folder")
        table = config.to_dict()
        table["tracking"] |= {"uri": str(tmp_path / "file" / "mlruns"), "tensorboard": False}

        GlassesPipeline(Config.from_dict(table))._record(result)

        (warning,) = (one for one in caplog.records if one.levelname == "WARNING")
        assert "did not take the run" in warning.getMessage()
        assert f"The results in {result.run_dir} are complete" in warning.getMessage()

    def test_nothing_but_the_predictions_stays_in_memory(
        self, result: Result, spark: SparkSession
    ) -> None:
        result.predictions.count()
        assert spark.sparkContext._jsc.getPersistentRDDs().size() == 1


@pytest.mark.slow
def test_the_keys_of_training_reach_the_fit(
    config: Config, spark: SparkSession, result: Result, caplog: pytest.LogCaptureFixture
) -> None:
    table = config.to_dict()
    table["training"] |= {
        "epochs": 30,
        "class_weight": "balanced",
        "early_stopping": 1,
        "reduce_learning_rate": 1,
        "precision": "bfloat16",
        "learning_rate": 0.1,  # too high: the validation loss soon rises
    }
    pipeline = GlassesPipeline(Config.from_dict(table))
    rows = result.predictions.where("split <> 'test'").select("id")
    train, _ = pipeline.split(pipeline.preprocess(pipeline.load(spark)).good.join(rows, "id"))
    model = pipeline.fit(train)
    assert len(model.history) < 30
    # The first epoch's loss, before anything has been learned, is that of the weighted rows.
    counts = {row["label"]: row["count"] for row in train.groupBy("label").count().collect()}
    assert len(set(counts.values())) == 2
    assert pipeline._class_weights(train) == {
        label: sum(counts.values()) / (2 * count) for label, count in counts.items()
    }


def test_nothing_is_prepared_without_a_store(config: Config, spark: SparkSession) -> None:
    table = config.to_dict()
    table["store"]["dir"] = ""
    with pytest.raises(ConfigError, match=r"store\.dir: expected a place"):
        GlassesPipeline(Config.from_dict(table)).prepare(spark)


@pytest.mark.slow
def test_stages_one_by_one_give_the_same_model_as_the_whole_run(
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


@pytest.mark.slow
def test_a_part_that_has_lost_its_images_to_another_ones_clusters_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    ids = list(range(30))
    part = split_column(test=0.2, seed=0)
    frame = spark.createDataFrame([(number,) for number in ids], "id int")
    parts = {row["id"]: row["part"] for row in frame.select("id", part.alias("part")).collect()}
    held_back = next(number for number in ids[1:] if parts[number] == "test")
    original = next(number for number in ids if parts[number] == "train" and number < held_back)
    # Of the test one image alone, a copy of one of the training.
    kept = [number for number in ids if parts[number] == "train"]
    files = {f"{number}.png": noise_png(64, 64, seed=number) for number in kept}
    files[f"{held_back}.png"] = files[f"{original}.png"]
    folder = write_faces(tmp_path / "faces", files)
    labels = faces.write_labels(
        tmp_path / "labels.csv", {n: float(n % 2) for n in [*kept, held_back]}
    )
    pipeline = GlassesPipeline(
        Config.from_dict(
            {
                "data": {"images": str(folder), "labels": str(labels)},
                "run": {"dir": str(tmp_path / "run")},
                "store": {"dir": ""},
            }
        )
    )

    with pytest.raises(DataError, match=f"test part of the split is empty: found {len(kept) + 1}"):
        pipeline.run(spark)
