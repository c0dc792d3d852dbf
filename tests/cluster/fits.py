"""Fits: the driver that the tests of this folder start, with a small model on a real cluster.

Called as ``python fits.py MASTER FIT...``, where a fit is a JSON object of what
``fit`` takes. The last line that it prints is JSON, and says what came of them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

from pyspark.sql import DataFrame

from glasses_spark import build_estimator
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session
from glasses_spark.runtime.task_slots import task_slots
from tests.paths import ROOT
from tests.training.tiny import separable, tiny_model

ROWS: Final = 60


# For the driver to find this library and the tests.
PYTHONPATH: Final = f"{ROOT / 'src'}{os.pathsep}{ROOT}"

# As the kernel writes it.
LISTENING: Final = "0A"


def command(master: str, *fits: Mapping[str, Any]) -> list[str]:
    """Say how to start this driver."""
    return [sys.executable, __file__, master, *map(json.dumps, fits)]


class Watcher(logging.Handler):
    """Hears from the fit which processes its workers are, and looks around after an epoch.

    Args:
        secret: Spark's; it is looked for in the command lines of all processes.
        kill_executor: Whether the executor of one worker is killed after the first epoch.
    """

    def __init__(self, secret: str | None, *, kill_executor: bool) -> None:
        super().__init__(logging.DEBUG)
        self._secret = secret
        self._kill_executor = kill_executor
        self.workers: list[tuple[int, int]] = []  # number, process
        self.executors: dict[int, int] = {}  # by process of the worker
        self.folders: set[str] = set()  # in which they work
        self.killed: list[int] = []
        self.seen = {"executor_commands": 0, "secrets": 0}
        self.listening: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"worker (\d+) has joined from .*, process (\d+)", record.getMessage())
        if found:
            process = int(found[2])
            self.workers.append((int(found[1]), process))
            # A worker is forked from a daemon, which the executor has started.
            self.executors[process] = parent(parent(process))
            self.folders.add(os.readlink(f"/proc/{process}/cwd"))

    def look_around(self, epoch: int, logs: object) -> None:
        if epoch > 0:
            return
        for line in command_lines():
            self.seen["executor_commands"] += "CoarseGrainedExecutorBackend" in line
            self.seen["secrets"] += self._secret is not None and self._secret in line
        self.listening = sorted(ports_for_others())
        if self._kill_executor:
            self.killed.append(self.executors[self.workers[-1][1]])
            os.kill(self.killed[-1], signal.SIGKILL)


def fit(
    frame: DataFrame,
    *,
    mode: str,
    frequency: str = "batch",
    epochs: int = 2,
    num_workers: int = 2,
    port: int = 0,
    kill_executor: bool = False,
) -> Mapping[str, Any]:
    """Fit once, and tell what was seen."""
    secret = frame.sparkSession.sparkContext.getConf().get("spark.authenticate.secret")
    watcher = Watcher(secret, kill_executor=kill_executor)
    logger = logging.getLogger("glasses_spark")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(watcher)
    fitted = build_estimator(
        tiny_model(),
        epochs,
        4,
        categorical=False,
        num_workers=num_workers,
        mode=mode,
        frequency=frequency,
        parameter_server_port=port,
        callbacks=[import_keras().callbacks.LambdaCallback(on_epoch_end=watcher.look_around)],
    ).fit(frame)
    logger.removeHandler(watcher)
    return {
        "mode": mode,
        "rows": [epoch["rows"] for epoch in fitted.history],
        "scored": fitted.transform(frame).where("prediction[0] between 0 and 1").count(),
        "workers": [number for number, _ in watcher.workers],
        "executors": sorted(set(watcher.executors.values())),
        "folders": sorted(watcher.folders),
        "killed": watcher.killed,
        "listening": watcher.listening,
        **watcher.seen,
    }


def main(master: str, fits: Sequence[str]) -> None:
    """Start a session on a master, fit, and print what came of it."""
    x, y = separable(ROWS)
    rows = [(a.tolist(), float(b[0])) for a, b in zip(x, y, strict=True)]
    with spark_session(master=master) as spark:
        frame = spark.createDataFrame(rows, "features array<double>, label double").repartition(3)
        told = []
        for one in fits:
            told.append(fit(frame, **json.loads(one)))
            if len(told) == 1:
                # Once all have come, there is nothing to wait for.
                with mock.patch("glasses_spark.runtime.task_slots.time.sleep") as nap:
                    slots = task_slots(spark)
    print(json.dumps({"fits": told, "slots": slots, "naps": nap.call_count}))


def parent(process: int) -> int:
    """The process that has started another."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def command_lines() -> list[str]:
    """What all processes were started with, as ``ps`` shows it to everyone."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    return lines


def ports_for_others() -> set[int]:
    """The ports at which something on this host listens, other than on loopback alone."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            # 127.0.0.1 from its end, in IPv6 too; and ::1.
            is_loopback = address.endswith("7F") or address.endswith("1" + "0" * 6)
            if state == LISTENING and not is_loopback:
                ports.add(int(port, 16))
    return ports


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
