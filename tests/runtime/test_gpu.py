"""Tests for glasses_spark.runtime.gpu, without a GPU.

Spark grants the GPUs that a discovery script prints, so all but the device is real.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyspark import TaskContext
from pyspark.resource import ResourceInformation

from glasses_spark.errors import WorkerError
from glasses_spark.runtime.gpu import (
    NO_DEVICE,
    TAKEN,
    VISIBLE,
    choose_device,
    device_settings,
    take_granted_gpu,
)
from tests.runtime.processes import run


def granted(*addresses: str) -> dict[str, ResourceInformation]:
    return {"gpu": ResourceInformation("gpu", list(addresses))}


def enter_task(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make this process look as if it ran a task to which Spark granted these GPUs."""
    task = SimpleNamespace(resources=lambda: granted(*addresses))
    monkeypatch.setattr(TaskContext, "get", lambda: task)


class TestDeviceSettings:
    @pytest.mark.parametrize("address", ["0", "3", "GPU-5d3c", "MIG-77ab"])
    def test_a_worker_sees_the_gpu_of_its_task_and_allocates_memory_as_needed(
        self, address: str
    ) -> None:
        settings = device_settings(granted(address))

        assert settings[VISIBLE] == address
        assert settings["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
        assert settings["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"

    def test_of_several_gpus_a_worker_uses_the_first(self) -> None:
        assert device_settings(granted("2", "5"))[VISIBLE] == "2"

    def test_without_a_granted_gpu_a_worker_sees_none(self) -> None:
        others = {"fpga": ResourceInformation("fpga", ["f1"])}

        assert device_settings({}) == device_settings(others) == {VISIBLE: NO_DEVICE}

    def test_a_grant_without_an_address_names_the_script_to_correct(self) -> None:
        with pytest.raises(WorkerError, match=r"GPU without an address.*discoveryScript"):
            device_settings(granted())


@pytest.mark.parametrize(
    ("address", "devices", "chosen"),
    [
        pytest.param("1", ["a", "b", "c"], ["b"], id="TensorFlow saw all before"),
        pytest.param("5", ["a"], ["a"], id="the environment left one"),
        pytest.param("5", ["a", "b"], [], id="missing"),
        pytest.param("GPU-5d3c", ["a", "b"], [], id="UUID"),
        pytest.param("0", [], [], id="a TensorFlow without CUDA"),
        pytest.param(NO_DEVICE, ["a", "b"], [], id="none granted"),
        pytest.param(NO_DEVICE, ["a"], [], id="none granted, one found"),
    ],
)
def test_an_imported_tensorflow_uses_the_granted_device_or_none(
    address: str, devices: Sequence[str], chosen: Sequence[str]
) -> None:
    assert choose_device(address, devices) == chosen


class TestTakeGrantedGpu:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # setenv first: so the variable is removed again afterwards if it was not set before.
        for name in (TAKEN, VISIBLE, "CUDA_DEVICE_ORDER", "TF_FORCE_GPU_ALLOW_GROWTH"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)

    def test_outside_of_a_task_nothing_changes(self) -> None:
        take_granted_gpu()

        assert VISIBLE not in os.environ

    def test_the_device_is_chosen_before_tensorflow_is_imported(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
        enter_task(monkeypatch, "1")

        take_granted_gpu()

        assert os.environ[VISIBLE] == os.environ[TAKEN] == "1"
        assert "tensorflow" not in sys.modules

    def test_the_granted_gpu_replaces_an_inherited_variable(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
        monkeypatch.setenv(VISIBLE, "0,1,2,3")
        enter_task(monkeypatch, "2")

        take_granted_gpu()

        assert os.environ[VISIBLE] == "2"

    def test_a_reused_process_keeps_its_gpu_and_logs_a_warning(
        self,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
        enter_task(monkeypatch, "0")
        take_granted_gpu()
        take_granted_gpu()
        assert not caplog.records

        enter_task(monkeypatch, "1")
        take_granted_gpu()

        assert os.environ[VISIBLE] == "0"
        assert "granted GPU 1 to this task, but its process computed on GPU 0 before" in caplog.text


# Trains and scores on a cluster of one executor with two GPUs, printed by a script. A layer
# reports the variables of its process whenever TensorFlow traces it.
PROGRAM = """
import json, os, shutil, sys
from contextlib import suppress
from pathlib import Path

import pyspark
from glasses_spark.runtime.session import spark_session
from glasses_spark.runtime.task_slots import task_slots

script, reports = sys.argv[1], Path(sys.argv[2])
conf = {
    "spark.worker.resource.gpu.amount": "2",
    "spark.worker.resource.gpu.discoveryScript": script,
    "spark.executor.resource.gpu.amount": "2",
    "spark.task.resource.gpu.amount": "1",
    "spark.executor.memory": "700m",
    "spark.executorEnv.PYTHONPATH": os.environ.get("PYTHONPATH", ""),
}
with spark_session(master="local-cluster[1,3,700]", conf=conf) as spark:
    slots = task_slots(spark)
    folder = Path(pyspark.__file__).parent / "work" / spark.sparkContext.applicationId

    from glasses_spark import build_estimator, build_model
    from glasses_spark.runtime.keras import import_keras

    keras = import_keras()

    class Sighting(keras.layers.Layer):
        def call(self, x):
            import tensorflow as tf

            names = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH", "CUDA_DEVICE_ORDER")
            with open(reports / str(os.getpid()), "a") as file:
                print(json.dumps([os.environ.get(name) for name in names]), file=file)
            return x

    def model():
        dense = keras.layers.Dense(1, activation="sigmoid")
        return build_model([keras.Input((2,)), Sighting(), dense], "sgd", metrics=())

    rows = [([float(n), 1.0], float(n % 2)) for n in range(8)]
    frame = spark.createDataFrame(rows, "features array<float>, label double").repartition(2)
    estimator = build_estimator(
        model(), 1, 2, categorical=False, num_workers="auto", mode="synchronous"
    )
    estimator.set_custom_objects({"Sighting": Sighting})
    fitted = estimator.fit(frame)
    scored = fitted.transform(frame).count()
# The executors leave files within the installed package.
shutil.rmtree(folder, ignore_errors=True)
with suppress(OSError):  # other executors may use it
    folder.parent.rmdir()
seen = {path.name: path.read_text().splitlines() for path in reports.iterdir()}
mine = seen.pop(str(os.getpid()))
print(json.dumps({
    "slots": slots, "scored": scored,
    "workers": len(fitted.history[0]["workers"]),
    "seen": sorted({line for lines in seen.values() for line in lines}),
}))
"""


@pytest.mark.slow
@pytest.mark.exhaustive
def test_each_worker_of_a_cluster_trains_and_scores_on_the_gpu_that_spark_grants_it(
    tmp_path: Path,
) -> None:
    script = tmp_path / "gpus.sh"
    script.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0", "1"]}'\n""")
    script.chmod(0o755)
    program, reports = tmp_path / "program.py", tmp_path / "reports"
    program.write_text(PROGRAM)
    reports.mkdir()

    done = run([sys.executable, str(program), str(script), str(reports)], cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    # By cores alone there would be three slots.
    assert (result["slots"], result["workers"], result["scored"]) == (2, 2, 8)
    assert [json.loads(line) for line in result["seen"]] == [
        ["0", "true", "PCI_BUS_ID"],
        ["1", "true", "PCI_BUS_ID"],
    ]
