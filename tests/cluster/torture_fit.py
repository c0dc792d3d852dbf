"""Driver program of the torture test: a fit with checkpoints that waits after each epoch.

Usage: ``python torture_fit.py MASTER CHECKPOINTS OUT SETTINGS``, where the settings are a JSON
object for ``build_estimator``. It prints ``epoch N`` and waits for a line of its input. Its result
is a JSON object in the file OUT.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession

from glasses_spark import build_estimator
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session
from tests.cluster.fits import digest
from tests.training.tiny import separable, tiny_model

ROWS: Final = 60


def frame(spark: SparkSession) -> DataFrame:
    """Return the rows of the fit."""
    x, y = separable(ROWS)
    rows = [(a.tolist(), float(b[0])) for a, b in zip(x, y, strict=True)]
    return spark.createDataFrame(rows, "features array<double>, label double").repartition(3)


def fit(rows: DataFrame, settings: Mapping[str, Any], *, pause: bool) -> dict[str, Any]:
    """Fit, and return the rows of each epoch and worker, and a digest of the weights."""

    def end(epoch: int, logs: object) -> None:
        if pause:
            print(f"epoch {epoch + 1}", flush=True)
            sys.stdin.readline()

    keras = import_keras()
    keras.utils.set_random_seed(5)
    model = tiny_model(hidden=[keras.layers.Dropout(0.2)], optimizer=keras.optimizers.Adam(0.05))
    fitted = build_estimator(
        model,
        batch_size=4,
        categorical=False,
        num_workers=2,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=end)],
        **settings,
    ).fit(rows)
    return {
        "rows": [[worker["rows"] for worker in epoch["workers"]] for epoch in fitted.history],
        "weights": digest(fitted.weights),
    }


def main(master: str, checkpoints: str, out: str, settings: str) -> None:
    """Start a session and fit."""
    with spark_session(master=master) as spark:
        chosen = {**json.loads(settings), "checkpoint_dir": checkpoints}
        result = fit(frame(spark), chosen, pause=True)
    Path(out).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
