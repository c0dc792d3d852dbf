"""A Spark Connect server in a process of its own, as a shared cluster has one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import grpc
import pyspark

from glasses_spark.runtime.java import find_java
from tests.paths import ROOT

SLOTS: Final = 2
_CLASS: Final = "org.apache.spark.sql.connect.service.SparkConnectServer"
_START_S: Final = 120


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """Start a server with two task slots, and stop it afterwards.

    Args:
        folder: Empty folder, for its warehouse and its log.

    Yields:
        Its address, such as ``sc://127.0.0.1:15002``.
    """
    port = _free_port()
    settings = {
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.driver.memory": "2g",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    command = [
        str(Path(pyspark.__file__).parent / "bin" / "spark-submit"),
        *("--master", f"local[{SLOTS}]", "--class", _CLASS),
        *(part for item in settings.items() for part in ("--conf", "=".join(item))),
        "spark-internal",
    ]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SPARK_", "PYSPARK_"))
    }
    environment |= {
        "JAVA_HOME": str(find_java().home),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with (folder / "server.log").open("w") as log:
        # A process group of its own: spark-submit is a script that starts Java.
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=_START_S)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
