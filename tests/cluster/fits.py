"""Driver program of the cluster tests, which fits a small model.

Usage: ``python fits.py MASTER FIT...``, where a fit is a JSON object with the arguments of
``fit``. The last line of its output is a JSON object with the results.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pyspark.sql import DataFrame

from glasses_spark import build_estimator
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session
from glasses_spark.runtime.task_slots import task_slots
from tests.paths import ROOT
from tests.training.tiny import separable, tiny_model

ROWS: Final = 60

# With this library and the tests.
PYTHONPATH: Final = f"{ROOT / 'src'}{os.pathsep}{ROOT}"

# The state of a listening socket in /proc/net/tcp.
LISTENING: Final = "0A"


def command(master: str, *fits: Mapping[str, Any]) -> list[str]:
    """Return the command line of this program."""
    return [sys.executable, __file__, master, *map(json.dumps, fits)]


class Watcher(logging.Handler):
    """Finds the processes of the workers in the log, and inspects the machine after an epoch.

    Args:
        secret: Secret of Spark, searched for in the command lines of all processes.
        kill: What to kill after the first epoch: the ``executor`` of one worker, or its
            ``host``, which is the executor and the daemon that would replace it.
    """

    def __init__(self, secret: str | None, *, kill: str) -> None:
        super().__init__(logging.DEBUG)
        self._secret = secret
        self._kill = kill
        self.workers: list[tuple[int, int]] = []  # (worker, process id)
        self.executors: dict[int, int] = {}  # by process id of the worker
        self.folders: set[str] = set()  # working folders
        self.killed: list[int] = []
        self.counts = {"executor_commands": 0, "secrets": 0}
        self.listening: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        match = re.search(r"worker (\d+) has joined from .*, process (\d+)", record.getMessage())
        if match:
            process = int(match[2])
            self.workers.append((int(match[1]), process))
            # The executor starts a daemon, and the daemon forks the worker.
            self.executors[process] = parent(parent(process))
            self.folders.add(os.readlink(f"/proc/{process}/cwd"))

    def inspect(self, epoch: int, logs: object) -> None:
        if epoch > 0:
            return
        for line in command_lines():
            self.counts["executor_commands"] += "CoarseGrainedExecutorBackend" in line
            self.counts["secrets"] += self._secret is not None and self._secret in line
        self.listening = sorted(ports_for_others())
        if self._kill:
            executor = self.executors[self.workers[-1][1]]
            if self._kill == "host":
                os.kill(parent(executor), signal.SIGKILL)
            self.killed.append(executor)
            os.kill(executor, signal.SIGKILL)


def fit(
    frame: DataFrame,
    *,
    mode: str,
    frequency: str = "batch",
    epochs: int = 2,
    num_workers: int = 2,
    port: int = 0,
    kill: str = "",
) -> Mapping[str, Any]:
    """Fit once and return the observations."""
    secret = frame.sparkSession.sparkContext.getConf().get("spark.authenticate.secret")
    watcher = Watcher(secret, kill=kill)
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
        callbacks=[import_keras().callbacks.LambdaCallback(on_epoch_end=watcher.inspect)],
    ).fit(frame)
    logger.removeHandler(watcher)
    return {
        "mode": mode,
        "rows": [epoch["rows"] for epoch in fitted.history],
        "weights": digest(fitted.weights),
        "losses": [epoch["loss"] for epoch in fitted.history],
        "shares": [[worker["rows"] for worker in epoch["workers"]] for epoch in fitted.history],
        "staleness": max(
            worker["staleness"] for epoch in fitted.history for worker in epoch["workers"]
        ),
        "scored": fitted.transform(frame).where("prediction[0] between 0 and 1").count(),
        "workers": [number for number, _ in watcher.workers],
        # The processes that hosted the workers at the end.
        "last_tasks": len({process for _, process in watcher.workers[-num_workers:]}),
        "executors": sorted(set(watcher.executors.values())),
        "folders": sorted(watcher.folders),
        "killed": watcher.killed,
        "listening": watcher.listening,
        **watcher.counts,
    }


def digest(weights: Sequence[Any]) -> str:
    """Return a digest of weights that is equal only for weights that are equal bit for bit."""
    return hashlib.sha256(b"".join(array.tobytes() for array in weights)).hexdigest()


def main(master: str, fits: Sequence[str]) -> None:
    """Start a session, fit, and print the results."""
    x, y = separable(ROWS)
    rows = [(a.tolist(), float(b[0])) for a, b in zip(x, y, strict=True)]
    with spark_session(master=master) as spark:
        frame = spark.createDataFrame(rows, "features array<double>, label double").repartition(3)
        results = []
        for arguments in fits:
            results.append(fit(frame, **json.loads(arguments)))
        slots = task_slots(spark)
    print(json.dumps({"fits": results, "slots": slots}))


def parent(process: int) -> int:
    """Return the id of the parent of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def command_lines() -> list[str]:
    """Return the command lines of all processes."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # the process has ended
    return lines


def ports_for_others() -> set[int]:
    """Return the listening ports of this host, except those on loopback addresses."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            # 127.0.0.1 in reversed byte order, also as an IPv6 address; and ::1.
            is_loopback = address.endswith("7F") or address.endswith("1" + "0" * 6)
            if state == LISTENING and not is_loopback:
                ports.add(int(port, 16))
    return ports


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
