"""Torture: a fit on a cluster whose processes are killed, one after the other."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from tests.cluster import torture_fit
from tests.cluster.fits import PYTHONPATH
from tests.cluster.standalone import Cluster

DRIVER: Final = "driver"
JVM: Final = "JVM"
EXECUTOR: Final = "executor"
PYTHON_WORKER: Final = "Python worker"
VICTIMS: Final = (DRIVER, JVM, EXECUTOR, PYTHON_WORKER)

# Longest time between a death and the next epoch, on a busy machine.
PATIENCE_S: Final = 150.0

# Longest time between the beginning of an epoch and a death, which is about an epoch.
EPOCH_S: Final = 0.3


def epochs_for(kills: int) -> int:
    """Return the number of epochs of a fit that is long enough for some deaths."""
    return 3 * (kills + 1)


@dataclass(frozen=True)
class Kill:
    """A death, for the log.

    Attributes:
        victim: One of `VICTIMS`.
        epoch: Last epoch that the driver had finished.
        within_epoch: Whether the workers computed; otherwise the driver ran callbacks.
        seconds: Time until the fit had finished another epoch.
    """

    victim: str
    epoch: int
    within_epoch: bool
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}


class Torture:
    """A fit that is started again whenever its driver has ended.

    Args:
        cluster: The cluster.
        folder: Empty folder for checkpoints and the result.
        settings: Settings of the fit.
    """

    def __init__(self, cluster: Cluster, folder: Path, settings: Mapping[str, Any]) -> None:
        self._out = folder / "result.json"
        self._log = folder / "driver.log"
        self._command = [
            *(sys.executable, torture_fit.__file__, cluster.master),
            *(str(folder / "checkpoints"), str(self._out), json.dumps(settings)),
        ]
        self._environment = {**cluster.environment, "PYTHONPATH": PYTHONPATH}
        self._folder = folder
        self._cluster = cluster.folder
        self._driver = self._start()

    def run(self, victims: Sequence[str], seed: int) -> tuple[dict[str, Any], list[Kill]]:
        """Kill the victims, one after the other, and let the fit end.

        Args:
            victims: The victims, of `VICTIMS`.
            seed: Seed of the moments.

        Returns:
            The result of the fit, and what happened.
        """
        chance, kills = random.Random(seed), []
        try:
            epoch = self._next_epoch()
            for victim in victims:
                for _ in range(chance.randint(0, 1)):
                    self._go()
                    epoch = self._next_epoch()
                within_epoch = chance.random() < 0.7
                if within_epoch:
                    self._go()
                    time.sleep(chance.uniform(0, EPOCH_S))  # no event: any moment may be the one
                began = time.monotonic()
                os.kill(self._find(victim, chance), signal.SIGKILL)
                if not within_epoch:
                    self._go()
                last, epoch = epoch, self._next_epoch()
                kills.append(Kill(victim, last, within_epoch, time.monotonic() - began))
            while epoch:
                self._go()
                epoch = self._next_epoch(may_end=True)
        finally:
            self._driver.kill()
            self._driver.wait()
        return json.loads(self._out.read_text()), kills

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                cwd=self._folder,
            )

    def _go(self) -> None:
        with suppress(BrokenPipeError):  # the driver is dead
            _stream(self._driver.stdin).write("\n")
            _stream(self._driver.stdin).flush()

    def _next_epoch(self, *, may_end: bool = False) -> int:
        """Return the number of the next epoch that ends, of a new driver if this one ends.

        Returns:
            The number, from 1; 0 if the fit has ended.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            limit = threading.Timer(PATIENCE_S, self._driver.kill)
            limit.start()
            try:
                for line in _stream(self._driver.stdout):
                    if match := re.fullmatch(r"epoch (\d+)\n", line):
                        return int(match[1])
            finally:
                limit.cancel()
            if self._driver.wait() == 0 and may_end:
                return 0
            assert not self._out.exists(), "the fit ended before all victims were dead"
            self._driver = self._start()
        raise AssertionError(f"no further epoch: {self._log.read_text()[-4000:]}")

    def _find(self, victim: str, chance: random.Random) -> int:
        """Return the id of a process, once it exists."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if found := self._processes(victim):
                return chance.choice(sorted(found))
            time.sleep(0.05)  # an executor is being replaced
        raise AssertionError(f"found no {victim}")

    def _processes(self, victim: str) -> list[int]:
        """Return the ids of the processes of a kind."""
        if victim == DRIVER:
            return [self._driver.pid]
        parents = {int(folder.name): _parent(folder) for folder in Path("/proc").glob("[0-9]*")}
        if victim == JVM:
            return [each for each in parents if parents[each] == self._driver.pid]
        executors = [each for each in parents if self._is_executor(each)]
        if victim == EXECUTOR:
            return executors
        # An executor starts a daemon, and the daemon forks the Python workers.
        return [each for each in parents if parents.get(parents[each]) in executors]

    def _is_executor(self, process: int) -> bool:
        """Return whether a process is an executor of this cluster: others may run here as well."""
        with suppress(OSError):  # it has ended
            folder = Path("/proc", str(process))
            is_executor = b"CoarseGrainedExecutorBackend" in (folder / "cmdline").read_bytes()
            return is_executor and Path(os.readlink(folder / "cwd")).is_relative_to(self._cluster)
        return False


def _parent(folder: Path) -> int:
    with suppress(OSError):  # the process has ended
        return int((folder / "status").read_text().partition("PPid:")[2].split()[0])
    return 0


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
