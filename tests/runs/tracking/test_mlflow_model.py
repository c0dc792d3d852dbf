"""Tests for glasses_spark.runs.tracking.mlflow_model, against a real file store and Spark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml.functions import vector_to_array
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glasses_spark.config.run import TrackingConfig
from glasses_spark.errors import ConfigError, TrackingError
from glasses_spark.preprocessing.features import pixels_to_features
from glasses_spark.runs.tracking.mlflow_run import log_run
from glasses_spark.runs.tracking.record import record_run
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.progress import Progress
from glasses_spark.training.model import build_cnn
from tests.runs.test_read import write_run

SIDE = 16
NAME = "glasses"

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="the extra mlflow is not installed"
)


@dataclass(frozen=True)
class Logged:
    """A run folder, its MLflow run, and the network that was logged."""

    folder: Path
    store: Path
    run_id: str
    network: Any

    @property
    def uri(self) -> str:
        return f"runs:/{self.run_id}/model"

    def expected(self, levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return Keras' probabilities of grey levels from 0 to 255."""
        images = levels.reshape(-1, SIDE, SIDE, 1).astype("float32") / 255
        probabilities: np.ndarray[Any, Any] = self.network(images).numpy()[:, 0]
        assert np.ptp(probabilities) > 1e-3
        return probabilities


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    import_keras()
    root = tmp_path_factory.mktemp("mlflow-model")
    folder = write_run(root / "runs" / "demo")
    network = build_cnn(SIDE, SIDE, seed=1)
    network.save(folder / "model.keras")

    run_id = log_run(folder, uri=str(root / "mlruns"), registered_model=NAME)

    # The tests read the store with MLflow's own client.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        patch.setenv("MLFLOW_TRACKING_URI", (root / "mlruns").as_uri())
        yield Logged(folder, root / "mlruns", run_id, network)


@pytest.fixture
def levels() -> np.ndarray[Any, Any]:
    """Grey levels of 40 images, more than a batch."""
    return np.random.default_rng(0).integers(0, 256, (40, SIDE * SIDE)).astype(np.uint8)


@pytest.mark.slow
def test_the_model_predicts_its_own_example(logged: Logged) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(logged.uri)
    example = model.input_example
    assert (example.dtype, example.shape) == (np.float32, (1, SIDE, SIDE, 1))
    expected = logged.network(example).numpy()
    assert model.predict(example) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_the_model_scores_arrays_as_keras_does(
    logged: Logged, levels: np.ndarray[Any, Any]
) -> None:
    import mlflow

    images = levels.reshape(-1, SIDE, SIDE, 1).astype("float32") / 255
    predicted = mlflow.pyfunc.load_model(logged.uri).predict(images)
    assert predicted[:, 0] == pytest.approx(logged.expected(levels), abs=1e-5)


@pytest.mark.slow
def test_the_model_also_loads_as_a_keras_model(logged: Logged) -> None:
    import mlflow

    images = np.random.default_rng(2).random((3, SIDE, SIDE, 1), dtype=np.float32)
    network = mlflow.keras.load_model(logged.uri)
    assert network(images).numpy() == pytest.approx(logged.network(images).numpy(), abs=1e-6)


def test_the_model_has_no_pickle_and_names_its_requirements(logged: Logged) -> None:
    from mlflow import MlflowClient
    from mlflow.models import Model

    folder = Path(MlflowClient().download_artifacts(logged.run_id, "model"))
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == [
        "MLmodel",
        "conda.yaml",
        "data/keras_module.txt",
        "data/model.keras",
        "input_example.json",
        "python_env.yaml",
        "requirements.txt",
        "serving_input_example.json",
    ]
    requirements = (folder / "requirements.txt").read_text()
    for name in ("glasses-spark==", "keras==", "tensorflow=="):
        assert name in requirements
    saved = Model.load(str(folder))
    assert (saved.run_id, saved.artifact_path) == (logged.run_id, "model")
    flavour = saved.flavors["python_function"]
    assert flavour["loader_module"] == "glasses_spark.runs.tracking.mlflow_loader"


@pytest.mark.slow
@pytest.mark.parametrize(
    "type_",
    [
        pytest.param("ARRAY<FLOAT>", id="fractions"),
        pytest.param("ARRAY<INT>", id="grey levels"),
        pytest.param("BINARY", id="features of this library"),
    ],
)
def test_spark_scores_a_column_of_pixels_as_keras_does(
    logged: Logged,
    levels: np.ndarray[Any, Any],
    spark: SparkSession,
    type_: str,
) -> None:
    import mlflow

    pixels = {
        "ARRAY<FLOAT>": (levels.astype("float32") / 255).tolist(),
        "ARRAY<INT>": levels.tolist(),
        "BINARY": [row.tobytes() for row in levels],
    }[type_]
    frame = spark.createDataFrame([*enumerate(pixels)], f"number INT, pixels {type_}").coalesce(1)
    column: Any = "pixels"
    if type_ == "BINARY":
        frame = pixels_to_features(frame)
        column = vector_to_array(F.col("features"), "float32")
    probability = mlflow.pyfunc.spark_udf(spark, logged.uri)

    scored = frame.select("number", probability(column).alias("probability"))

    assert scored.schema["probability"].dataType.simpleString() == "double"
    found = {row.number: row.probability for row in scored.collect()}
    expected = dict(enumerate(logged.expected(levels)))
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_column_of_spark_with_other_numbers_is_an_error(
    logged: Logged, spark: SparkSession
) -> None:
    import mlflow

    frame = spark.createDataFrame([([200.0] * (SIDE * SIDE),)], "pixels ARRAY<FLOAT>")
    probability = mlflow.pyfunc.spark_udf(spark, logged.uri)
    with pytest.raises(Exception, match=r"expected pixels as numbers in \[0, 1\]"):
        frame.select(probability("pixels")).collect()


@pytest.mark.slow
def test_the_model_is_a_version_of_the_registered_model(
    logged: Logged, levels: np.ndarray[Any, Any]
) -> None:
    import mlflow
    from mlflow import MlflowClient

    version = MlflowClient().get_model_version(NAME, "1")
    assert (version.run_id, version.status) == (logged.run_id, "READY")
    images = levels.reshape(-1, SIDE, SIDE, 1).astype("float32") / 255
    predicted = mlflow.pyfunc.load_model(f"models:/{NAME}/1").predict(images)
    assert predicted[:, 0] == pytest.approx(logged.expected(levels), abs=1e-5)


def test_a_second_run_is_the_next_version(logged: Logged) -> None:
    from mlflow import MlflowClient

    name = "second"
    runs = [log_run(logged.folder, uri=str(logged.store), registered_model=name) for _ in range(2)]
    versions = [MlflowClient().get_model_version(name, number) for number in ("1", "2")]
    assert [version.run_id for version in versions] == runs


def test_no_model_is_registered_by_default(logged: Logged, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    log_run(logged.folder, uri=str(tmp_path / "mlruns"))
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    assert list(client.search_registered_models()) == []


def test_a_run_whose_model_cannot_be_registered_stays_and_is_named(
    logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    # No server listens on port 9, the discard port.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://me:pw@127.0.0.1:9")
    store = tmp_path / "mlruns"

    with pytest.raises(TrackingError) as caught:
        log_run(logged.folder, uri=str(store), experiment="faces", registered_model=NAME)

    client = MlflowClient(tracking_uri=store.as_uri())
    experiment = client.get_experiment_by_name("faces")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    message = str(caught.value)
    assert message.startswith(
        f"cannot register the model {NAME} of the MLflow run {run.info.run_id}: "
    )
    assert message.endswith(f"The MLflow run at {store.as_uri()} is complete")
    assert "pw" not in message


def test_a_finished_run_is_registered_as_configured(logged: Logged, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    store = tmp_path / "mlruns"
    tracking = TrackingConfig(mlflow=True, uri=str(store), registered_model=NAME)
    record_run(str(logged.folder), tracking, Progress())
    client = MlflowClient(tracking_uri=store.as_uri())
    assert [model.name for model in client.search_registered_models()] == [NAME]


@pytest.mark.parametrize("name", ["a/b", "a:b", " ", "a\nb"])
def test_a_name_that_mlflow_refuses_is_refused_before_the_training(name: str) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.registered_model: expected a name without"):
        TrackingConfig(registered_model=name)
