"""Program of test_secrets.py: a fit, and where the private key of its workers can be read.

Usage: ``python watched_fit.py FOLDER``. It prints the files below the folder, and the processes
whose command or variables, that contain a private key after the first epoch, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from glasses_spark import build_estimator
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session

KEY: Final = b"PRIVATE KEY"

# With Adam's state a command of more than 1 MiB, from which on Spark writes it to files.
UNITS: Final = 400


def places(folder: Path) -> list[str]:
    """Return the files below a folder, and of processes, that contain a private key."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    files += [path for name in ("cmdline", "environ") for path in Path("/proc").glob(f"*/{name}")]
    return [str(path) for path in files if _contains_key(path)]


def large_model() -> Any:
    keras = import_keras()
    layers = [keras.layers.Dense(UNITS, activation="relu"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((UNITS,)), *layers])
    model.compile("adam", "binary_crossentropy")
    return model


def _contains_key(path: Path) -> bool:
    try:
        return KEY in path.read_bytes()
    except OSError:  # of another user, or gone
        return False


def main(folder: Path) -> None:
    found: list[str] = []
    callback: Any = import_keras().callbacks.LambdaCallback
    conf = {
        "spark.local.dir": str(folder / "local"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(folder / "events"),
        # So that a key can be read in what Spark writes.
        "spark.eventLog.compress": "false",
        "spark.broadcast.compress": "false",
        "spark.shuffle.compress": "false",
        "spark.rdd.compress": "false",
    }
    (folder / "events").mkdir()
    with spark_session(master="local[2]", conf=conf, log_level="INFO") as spark:
        frame = spark.range(16).selectExpr(
            f"array_repeat(id * 1D, {UNITS}) features", "id % 2 * 1D label"
        )
        build_estimator(
            large_model(),
            1,
            4,
            categorical=False,
            num_workers=2,
            callbacks=[callback(on_epoch_end=lambda *_: found.extend(places(folder)))],
        ).fit(frame)
        left = [path.name for path in (folder / "local").glob("spark-*/pyspark-*/*")]
    print(json.dumps({"key": found, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
