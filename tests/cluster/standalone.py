"""A standalone Spark cluster from the installed pyspark."""

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

# The JVMs run for a minute: C2 would cost more CPU than it saves.
JVM_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

# For a busy machine; usually 5 s.
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0

# Linux terminates the process when its parent ends, even if the parent is killed.
PARENT_DEATH: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Host:
    """A host of the cluster.

    Attributes:
        address: Its address for other hosts.
        enter: Command prefix that runs a command on this host.
    """

    address: str = "127.0.0.1"
    enter: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """A running cluster: a master and its registered workers.

    Attributes:
        master: Its ``spark://`` address.
        environment: Variables for a driver: Java, settings and the file of the secret.
        folder: Folder with ``conf``, ``worker1``, ``worker1.log``, ...
        log: Output of the master.
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
    """Run a master and workers until the block ends.

    Connections need a secret, which is in a file that only this user can read. Connections
    and Spark's files on disk are encrypted.

    Args:
        folder: Empty folder for logs, settings and the folders of the workers.
        driver: Host of the master and the driver.
        workers: Host of each worker.
        cores: Cores of each worker.
        settings: Additional settings for drivers.
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
        # By default the web interfaces listen on all addresses.
        SPARK_LOCAL_IP=driver.address,
        SPARK_DAEMON_JAVA_OPTS=JVM_OPTIONS,
        SPARK_DAEMON_MEMORY="256m",
    )
    with ExitStack() as stack:
        options = {"--host": driver.address, "--port": "0", "--webui-port": "0"}
        master = stack.enter_context(
            Daemon(
                [*driver.enter, *_spark_class("master.Master", options)],
                log=folder / "master.log",
                environment=environment,
            )
        )
        address = master.wait_for(r"Starting Spark master at (spark://\S+)")[1]
        daemons = []
        for number, worker in enumerate(workers, start=1):
            work = folder / f"worker{number}"
            work.mkdir()
            options = {"--host": worker.address, "--webui-port": "0", "--work-dir": str(work)}
            options |= {"--cores": str(cores), "--memory": "700m"}
            daemon = Daemon(
                [*worker.enter, *_spark_class("worker.Worker", options), address],
                log=folder / f"worker{number}.log",
                environment={
                    **environment,
                    "SPARK_LOCAL_DIRS": str(work / "local"),
                    "SPARK_LOCAL_IP": worker.address,
                },
            )
            daemons.append(stack.enter_context(daemon))
        for daemon in daemons:
            daemon.wait_for(r"Successfully registered with master")
        yield Cluster(address, environment, folder, master.text())


class Daemon:
    """A background process that runs until the block ends.

    Args:
        command: Command line.
        log: File for its output.
        environment: All environment variables.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]
    ) -> None:
        self._command = [sys.executable, "-c", PARENT_DEATH, *command]
        self._log = log
        self._environment = dict(environment)
        self._lines: list[str] = []
        self._changed = Condition()
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
            # So that its children can be killed with it.
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
            with suppress(ProcessLookupError):  # the expected case: no process is left
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join()

    def text(self) -> str:
        """Return its output so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, *, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait for a line of output that matches, including earlier lines."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0 or not self._changed.wait(left):
                    reason = "ended" if self._ended else f"did not print it within {seconds:.0f} s"
                    raise AssertionError(
                        f"{self._log.stem} {reason}; expected {pattern!r}, got:\n"
                        + "".join(self._lines[-30:])
                    )

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout, self._log.open("w") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def clean_environment(**extra: str) -> dict[str, str]:
    """Return the environment without the variables that affect how Python and Spark start."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SPARK_", "PYSPARK_", "JAVA_HOME", "PYTHONPATH"))
    }
    # Spark's scripts search PATH for Python and pyspark.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment | extra


def run_driver(
    cluster: Cluster, command: Sequence[str], *, host: Host | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a driver of the cluster and capture its output.

    Args:
        cluster: The cluster.
        command: Command line of the driver.
        host: Host of the driver; None for this process's own.
        extra: Additional environment variables.
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
