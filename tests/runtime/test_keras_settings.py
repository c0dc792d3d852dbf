"""Tests for glasses_spark.runtime.keras_settings, with settings files in temporary folders."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import ConfigError, SetupError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_settings import (
    KerasDefaults,
    keras_file,
    read_keras_file,
    require_tensorflow,
)
from glasses_spark.scoring.predictor import TrainedModel
from tests.runtime.processes import clean_environment
from tests.training.tiny import row_format, spec_of, tiny_estimator, tiny_model

CHANNELS_FIRST = {"image_data_format": "channels_first", "floatx": "float64", "epsilon": 0.25}


def home(folder: Path, contents: object) -> dict[str, str]:
    """Write a settings file, and return the variables of a process that uses it."""
    text = contents if isinstance(contents, str) else json.dumps(contents)
    (folder / "keras.json").write_text(text)
    return {"KERAS_HOME": str(folder)}


def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(CUDA_VISIBLE_DEVICES="-1", PYTHONWARNINGS="ignore")
    environment.pop("KERAS_BACKEND", None)
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment | variables,
    )


def last_line(process: subprocess.CompletedProcess[str]) -> str:
    return (process.stdout if process.returncode == 0 else process.stderr).strip().split("\n")[-1]


@pytest.fixture
def _defaults() -> Iterator[None]:
    import_keras()
    before = KerasDefaults.of_this_process()
    yield
    before.apply()


def test_the_file_is_found_as_keras_finds_it(tmp_path: Path) -> None:
    assert keras_file({"KERAS_HOME": str(tmp_path)}) == tmp_path / "keras.json"
    assert keras_file({}) == Path(os.path.expanduser("~")) / ".keras" / "keras.json"


@pytest.mark.parametrize("contents", ["{", "", '{"backend": "tensorflow"}', "{}"])
def test_a_file_that_keras_can_use_or_ignores_is_fine(tmp_path: Path, contents: str) -> None:
    require_tensorflow(home(tmp_path, contents))


def test_no_file_is_fine(tmp_path: Path) -> None:
    assert read_keras_file({"KERAS_HOME": str(tmp_path)}) == {}
    require_tensorflow({"KERAS_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([1], r"expected a JSON object, got \[1\]"),
        ({"floatx": "float8"}, "floatx: expected one of float16, float32, float64, got 'float8'"),
        ({"epsilon": 1}, "epsilon: expected a number with a decimal point, got 1"),
        (
            {"image_data_format": "first"},
            "image_data_format: expected one of channels_last, channels_first, got 'first'",
        ),
    ],
)
def test_a_file_with_which_keras_cannot_be_imported_is_named(
    tmp_path: Path, contents: object, message: str
) -> None:
    with pytest.raises(SetupError, match=rf"^{tmp_path}/keras.json: {message}\. Correct or delete"):
        require_tensorflow(home(tmp_path, contents))


def test_the_variable_overrides_the_file_unless_it_is_empty(tmp_path: Path) -> None:
    variables = home(tmp_path, {"backend": "jax"})
    require_tensorflow({**variables, "KERAS_BACKEND": "tensorflow"})
    with pytest.raises(SetupError, match=rf"the backend 'jax' from {tmp_path}/keras\.json"):
        require_tensorflow({**variables, "KERAS_BACKEND": ""})


IMPORT = "from glasses_spark import import_keras; print(import_keras().config.backend())"


@pytest.mark.slow
@pytest.mark.rotated
def test_another_backend_is_refused_at_the_first_import(tmp_path: Path) -> None:
    variables = home(tmp_path, {"backend": "jax"})
    by_file = last_line(run(IMPORT, **variables))
    assert by_file == (
        "glasses_spark.errors.SetupError: expected Keras to use tensorflow, got the backend 'jax' "
        f"from {tmp_path}/keras.json. Set KERAS_BACKEND=tensorflow, which overrides the file"
    )
    by_variable = last_line(run(IMPORT, KERAS_BACKEND="torch"))
    assert by_variable == (
        "glasses_spark.errors.SetupError: expected Keras to use tensorflow, got the backend "
        "'torch' from the environment variable KERAS_BACKEND. Set KERAS_BACKEND=tensorflow, "
        "which overrides the file"
    )
    assert last_line(run(IMPORT, **variables, KERAS_BACKEND="tensorflow")) == "tensorflow"


def test_a_keras_that_was_imported_with_another_backend_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keras = import_keras()
    # No other backend is installed here.
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(SetupError, match=r"got the backend 'jax', with which this program has imp"):
        import_keras()


CNN = """
from glasses_spark import build_cnn
import numpy as np
model = build_cnn(16, 20, seed=3)
x = np.linspace(0, 1, 2 * 16 * 20).reshape(2, 16, 20, 1).astype("float32")
print([layer.data_format for layer in model.layers if hasattr(layer, "data_format")])
model.fit(x, np.array([[0.0], [1.0]]), verbose=0)
print(model.predict(x, verbose=0).round(4).tolist())
"""


@pytest.mark.slow
@pytest.mark.rotated
def test_the_cnn_is_the_same_with_any_order_of_dimensions(tmp_path: Path) -> None:
    usual = run(CNN, KERAS_HOME=str(tmp_path / "none"))
    other = run(CNN, **home(tmp_path, {"image_data_format": "channels_first"}))
    assert usual.stdout.splitlines()[0] == str(["channels_last"] * 5)
    assert other.stdout == usual.stdout, other.stderr


WORKER = """
import pickle, sys
from glasses_spark.training.worker.steps import Steps
from glasses_spark import import_keras
spec, form, x, y, weight = pickle.loads(bytes.fromhex(sys.argv[1]))
keras = import_keras()
def show():
    config = keras.config
    print(config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy().name)
show()
steps = Steps(spec, form)
show()
print(round(steps.states.results(steps.evaluate([x], [y], weight))["loss"], 5))
"""


@pytest.mark.slow
@pytest.mark.rotated
def test_a_worker_computes_with_the_settings_of_the_driver(tmp_path: Path) -> None:
    # Predictions of 0 where 1 is right: the loss is that of the smallest probability.
    model = tiny_model()
    model.layers[-1].bias.assign([-1000.0])
    spec = replace(
        spec_of(model),
        loss="kl_divergence",
        frozen={len(model.weights) - 1: np.array([-1000.0], np.float32)},
        epsilon=0.125,
        image_data_format="channels_last",
    )
    x, y, weight = np.zeros((4, 6), np.float32), np.ones((4, 1), np.float32), np.ones(4, np.float32)
    form = row_format()
    sent = pickle.dumps((spec, form, x, y, weight)).hex()
    process = run(WORKER, sent, **home(tmp_path, CHANNELS_FIRST))
    assert process.stdout.splitlines() == [
        "float64 0.25 channels_first float64",
        "float32 0.125 channels_last float32",
        f"{-np.log(0.125):.5f}",
    ], process.stderr


SCORING = """
import pickle, sys
from glasses_spark import import_keras
from glasses_spark.scoring.predictor import cached_predictor
import numpy as np
trained = pickle.loads(bytes.fromhex(sys.argv[1]))
keras = import_keras()
for _ in range(2):
    keras.config.set_epsilon(0.5)
    predictor = cached_predictor(trained, with_logits=False)
    print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
print(predictor.predict(np.ones((1, 6), np.float32))[0][0].round(5).tolist())
"""


@pytest.mark.slow
@pytest.mark.rotated
def test_scoring_computes_with_the_settings_of_the_driver(tmp_path: Path) -> None:
    model: Any = tiny_model()
    trained = TrainedModel(
        "settings", model.to_json(), model.get_weights(), defaults=KerasDefaults(epsilon=0.125)
    )
    process = run(SCORING, pickle.dumps(trained).hex(), **home(tmp_path, CHANNELS_FIRST))
    expected = model.predict(np.ones((1, 6), np.float32), verbose=0).astype(float).round(5)
    assert process.stdout.splitlines() == [
        *["float32 0.125 channels_last"] * 2,
        str(expected.tolist()),
    ], process.stderr


@pytest.mark.usefixtures("_defaults")
def test_the_settings_of_the_driver_are_those_of_the_process() -> None:
    keras = import_keras()
    keras.config.set_epsilon(0.25)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert KerasDefaults.of_this_process() == KerasDefaults(
        "float32", 0.25, "channels_first", "mixed_bfloat16"
    )


@pytest.mark.usefixtures("_defaults")
@pytest.mark.parametrize("floatx", ["float16", "bfloat16"])
def test_other_floating_point_types_are_refused_before_any_data_is_read(floatx: str) -> None:
    estimator = tiny_estimator()
    import_keras().config.set_floatx(floatx)
    with pytest.raises(
        ConfigError, match=rf"^floatx: expected Keras to compute in one of .*, got {floatx}\. Call"
    ):
        estimator.fit(None)


def test_a_python_without_docstrings_is_refused_before_anything_is_imported() -> None:
    program = "from glasses_spark import import_keras; import_keras()"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", program], capture_output=True, text=True, check=False
    )
    error = done.stderr.splitlines()[-1]
    assert error.startswith("glasses_spark.errors.SetupError: Python was started with PYTHONOPTIM")
