"""Standalone: a Spark cluster of its own processes, from the pyspark that is installed."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import Final, Self

import pyspark

from glasses_spark.runtime.java import find_java

SPARK: Final = Path(pyspark.__file__).parent

# Each runs for a minute: what the second compiler would gain in speed it takes in time.
JVM_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

# On a busy machine; it is there in 5 s.
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0

# Linux ends the process with the one that started it, even if that was killed.
PARENT_DEATH: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Host:
    """Where a process runs.

    Attributes:
        address: Where others reach it.
        enter: What is put before a command so that it starts there.
    """

    address: str = "127.0.0.1"
    enter: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """A master and its workers, which have registered.

    Attributes:
        master: Its ``spark://`` address.
        environment: Variables for a driver: its Java, its settings and the secret's file.
        folder: Where everything of it lies: ``conf``, ``worker1``, ``worker1.log``, ...
        log: What the master has written so far.
    """

    master: str
    environment: Mapping[str, str]
    folder: Path
    log: str


@contextmanager
def standalone(
    folder: Path,
    *,
    driver: Host,
    workers: Sequence[Host],
    cores: int,
    settings: Mapping[str, str],
) -> Iterator[Cluster]:
    """Run a master beside the driver, and workers, until the block ends.

    Who wants to talk to it has to know a secret, which is in a file that only this user
    reads; what is said, and what Spark writes to disks, is encrypted.

    Args:
        folder: An empty one, for logs, settings and the workers' own folders.
        driver: Where the master and the driver run.
        workers: Where each worker runs.
        cores: Cores that each worker offers.
        settings: Further settings for drivers.
    """
    conf = folder / "conf"
    conf.mkdir()
    defaults = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secrets.token_hex(16),
        "spark.network.crypto.enabled": "true",
        "spark.io.encryption.enabled": "true",
        "spark.driver.host": driver.address,
        "spark.driver.bindAddress": driver.address,
        "spark.driver.extraJavaOptions": JVM_OPTIONS,
        "spark.executor.extraJavaOptions": JVM_OPTIONS,
        "spark.executor.memory": "600m",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        **settings,
    }
    file = conf / "spark-defaults.conf"
    file.touch(mode=0o600)
    file.write_text("".join(f"{key} {value}\n" for key, value in defaults.items()))
    environment = clean_environment(
        JAVA_HOME=str(find_java().home),
        SPARK_CONF_DIR=str(conf),
        SPARK_LOCAL_DIRS=str(folder / "local"),
        # Else the web pages listen on every interface.
        SPARK_LOCAL_IP=driver.address,
        SPARK_DAEMON_JAVA_OPTS=JVM_OPTIONS,
        SPARK_DAEMON_MEMORY="256m",
    )
    with ExitStack() as stack:
        here = {"--host": driver.address, "--port": "0", "--webui-port": "0"}
        master = stack.enter_context(
            Daemon(
                [*driver.enter, *_spark_class("master.Master", here)],
                log=folder / "master.log",
                environment=environment,
            )
        )
        address = master.wait_for(r"Starting Spark master at (spark://\S+)")[1]
        daemons = []
        for number, worker in enumerate(workers, start=1):
            own = folder / f"worker{number}"
            own.mkdir()
            there = {"--host": worker.address, "--webui-port": "0", "--work-dir": str(own)}
            there |= {"--cores": str(cores), "--memory": "700m"}
            daemon = Daemon(
                [*worker.enter, *_spark_class("worker.Worker", there), address],
                log=folder / f"worker{number}.log",
                environment={
                    **environment,
                    "SPARK_LOCAL_DIRS": str(own / "local"),
                    "SPARK_LOCAL_IP": worker.address,
                },
            )
            daemons.append(stack.enter_context(daemon))
        for daemon in daemons:
            daemon.wait_for(r"Successfully registered with master")
        yield Cluster(address, environment, folder, master.text())


class Daemon:
    """A process in the background, from ``with`` to the end of the block.

    Args:
        command: What to run.
        log: File for what it prints.
        environment: All of its variables.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]
    ) -> None:
        self._command = [sys.executable, "-c", PARENT_DEATH, *command]
        self._log = log
        self._environment = dict(environment)
        self._lines: list[str] = []
        self._news = Condition()
        self._ended = False

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment,
            cwd=self._log.parent,
            # So that what it starts can be ended with it.
            start_new_session=True,
        )
        self._reader = Thread(target=self._read, name=self._log.stem)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            with suppress(ProcessLookupError):  # as it should be: nothing is left
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join()

    def text(self) -> str:
        """What it has printed so far."""
        with self._news:
            return "".join(self._lines)

    def wait_for(self, pattern: str, *, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait for a line that matches, also one that was there before."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0 or not self._news.wait(left):
                    why = "ended" if self._ended else f"said nothing of it in {seconds:.0f} s"
                    raise AssertionError(
                        f"{self._log.stem} {why}; wanted {pattern!r}, got:\n"
                        + "".join(self._lines[-30:])
                    )

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout, self._log.open("w") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def clean_environment(**extra: str) -> dict[str, str]:
    """Give this process's variables without those that decide how Python and Spark start."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SPARK_", "PYSPARK_", "JAVA_HOME", "PYTHONPATH"))
    }
    # Spark's scripts look for Python and pyspark there.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment | extra


def run_driver(
    cluster: Cluster, command: Sequence[str], *, host: Host | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a driver of the cluster to its end, and keep what it prints.

    Args:
        cluster: Whose settings it gets.
        command: The driver.
        host: Where it runs, if not simply here.
        extra: Further variables.
    """
    return subprocess.run(
        [*(host.enter if host else ()), *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**cluster.environment, **extra},
        cwd=cluster.folder,
        timeout=200,
        check=False,
    )


def _spark_class(name: str, options: Mapping[str, str]) -> list[str]:
    words = [word for option in options.items() for word in option]
    return [str(SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *words]
