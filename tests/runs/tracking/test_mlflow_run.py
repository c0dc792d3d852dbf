"""Tests for glasses_spark.runs.tracking.mlflow_run, against a real file store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import ConfigError, TrackingError
from glasses_spark.runs.tracking.mlflow_run import log_run
from glasses_spark.runs.tracking.redact import REDACTED
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.model import build_cnn
from tests.runs.test_read import write_run

SECRET = "s3cr3t-of-the-bucket"
HISTORY = [
    {"epoch": 1, "loss": 0.7, "val_loss": 0.75, "rows": 1, "workers": [{"worker": 0, "rows": 1}]},
    {"epoch": 2, "loss": 0.4, "val_loss": 0.5, "rows": 1, "workers": [{"worker": 0, "rows": 1}]},
]

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="the extra mlflow is not installed"
)


@dataclass(frozen=True)
class Recorded:
    """A run folder and its MLflow run."""

    folder: Path
    uri: str
    client: Any
    run: Any

    def artifact(self, name: str) -> str:
        root = Path(self.run.info.artifact_uri.removeprefix("file://"))
        return (root / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    import_keras()
    root = tmp_path_factory.mktemp("mlflow")
    folder = write_run(root / "runs" / "demo")
    (folder / "config.toml").write_text(
        '[training]\nepochs = 2\nstaleness_aware = true\n\n[data]\nlabels = "https://me:pw@host/l"'
        f'\n\n[spark.conf]\n"spark.hadoop.fs.s3a.secret.key" = "{SECRET}"\n'
    )
    (folder / "history.json").write_text(json.dumps(HISTORY))
    (folder / "quarantine.csv").write_text("path,reason\n")
    (folder / "MODEL_CARD.md").write_text("- Images: `https://me:pw@host/faces`\n")
    (folder / "report.html").write_text(f"<pre>&quot;key&quot; = &quot;{SECRET}&quot;</pre>")
    (folder / "model").mkdir()
    build_cnn(32, 32, seed=1).save(folder / "model.keras")
    before = dict(os.environ)

    run_id = log_run(folder, uri=str(root / "mlruns"), experiment="faces")

    assert dict(os.environ) == before
    from mlflow import MlflowClient

    uri = (root / "mlruns").as_uri()
    # The tests read the store with MLflow's own client.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        client = MlflowClient(tracking_uri=uri)
        yield Recorded(folder, uri, client, client.get_run(run_id))


@pytest.mark.slow
def test_the_mlflow_run_is_named_after_the_folder_and_finished(recorded: Recorded) -> None:
    assert recorded.run.info.run_name == "demo"
    assert recorded.run.info.status == "FINISHED"
    experiment = recorded.client.get_experiment_by_name("faces")
    assert recorded.run.info.experiment_id == experiment.experiment_id


def test_the_configuration_is_logged_as_parameters_without_secrets(recorded: Recorded) -> None:
    assert recorded.run.data.params == {
        "training.epochs": "2",
        "training.staleness_aware": "true",
        "data.labels": "https://host/l",
        "spark.conf.spark.hadoop.fs.s3a.secret.key": REDACTED,
    }


def test_each_epoch_is_a_step_of_its_metrics(recorded: Recorded) -> None:
    for name in ("loss", "val_loss"):
        points = recorded.client.get_metric_history(recorded.run.info.run_id, name)
        points = [(point.step, point.value) for point in points]
        assert points == [(record["epoch"], record[name]) for record in HISTORY]


def test_final_metrics_and_versions_are_named_by_their_levels(recorded: Recorded) -> None:
    metrics = recorded.run.data.metrics
    assert metrics["test.accuracy"] == pytest.approx(2 / 3)
    assert metrics["train.rows"] == 1
    assert metrics["timings.fit_s"] == 1.5
    assert "train.roc_auc" not in metrics  # undefined
    assert recorded.run.data.tags["environment.packages.keras"] == "3.15.1"


def test_the_files_of_the_run_folder_are_artifacts(recorded: Recorded) -> None:
    names = [artifact.path for artifact in recorded.client.list_artifacts(recorded.run.info.run_id)]
    assert sorted(names) == [
        "MODEL_CARD.md",
        "config.toml",
        "history.json",
        "metrics.json",
        "model",
        "predictions.parquet",
        "quarantine.csv",
        "report.html",
    ]
    for name in ("metrics.json", "history.json"):
        assert recorded.artifact(name) == (recorded.folder / name).read_text()


def test_no_file_of_the_store_holds_a_secret(recorded: Recorded) -> None:
    root = Path(recorded.uri.removeprefix("file://"))
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert SECRET.encode() not in content
        assert b"me:pw@" not in content
    assert recorded.artifact("report.html").count(REDACTED) == 1
    assert recorded.artifact("MODEL_CARD.md") == "- Images: `https://host/faces`\n"
    assert SECRET in (recorded.folder / "report.html").read_text()  # the run folder is unchanged


def test_the_logged_model_has_a_signature_and_predicts_the_same(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", recorded.uri)
    model = mlflow.pyfunc.load_model(f"runs:/{recorded.run.info.run_id}/model")
    (inputs,), (outputs,) = model.metadata.signature.inputs, model.metadata.signature.outputs
    assert (inputs.type, inputs.shape) == (np.dtype("float32"), (-1, 32, 32, 1))
    assert (outputs.name, outputs.type.name) == ("probability", "double")

    images = np.random.default_rng(0).random((3, 32, 32, 1), dtype=np.float32)
    network = import_keras().models.load_model(recorded.folder / "model.keras", compile=False)
    expected = network(images).numpy()
    assert np.ptp(expected) > 0
    assert model.predict(images) == pytest.approx(expected, abs=1e-6)


def test_a_second_run_joins_the_experiment(recorded: Recorded) -> None:
    again = log_run(recorded.folder, uri=recorded.uri, experiment="faces")
    assert again != recorded.run.info.run_id
    runs = recorded.client.search_runs([recorded.run.info.experiment_id])
    assert {run.info.run_id for run in runs} == {again, recorded.run.info.run_id}


def test_the_store_defaults_to_the_environment_variable_then_to_mlruns(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "named").as_uri())
    log_run(recorded.folder)
    assert (tmp_path / "named").is_dir()

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    log_run(recorded.folder)
    assert (tmp_path / "mlruns").is_dir()


def test_a_partial_mlflow_run_is_marked_as_failed(recorded: Recorded, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "no-model")
    with pytest.raises(TrackingError, match=r"no-model to MLflow .* has no model\.keras"):
        log_run(folder, uri=recorded.uri, experiment="halfway")
    experiment = recorded.client.get_experiment_by_name("halfway")
    (run,) = recorded.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


def test_an_error_names_the_store_without_user_and_password(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No server listens on port 9, the discard port.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pw@127.0.0.1:9/store")
    with pytest.raises(TrackingError, match=r"MLflow at http://127\.0\.0\.1:9/store: ") as caught:
        log_run(recorded.folder)
    assert "me:pw" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a run folder"):
        log_run(tmp_path)
