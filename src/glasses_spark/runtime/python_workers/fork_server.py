"""Fork server: a process that has imported TensorFlow before Spark asks for one that has.

Spark makes its Python workers one at a time, under one lock of the whole executor: while a
daemon imports TensorFlow, no other work gets a worker, not even an idle one. So in local
mode the import is made in a process of which Spark knows nothing. The daemon that Spark
starts later hands its pipes over to a fork of that process, and waits for its end.

The two speak through a socket in a folder of this user alone.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from pyspark import SparkContext

ADDRESS_VARIABLE: Final = "GLASSES_SPARK_FORK_SERVER"

# The daemon's module, which stands above this one and has the imports; and what makes a
# server of it, before the number of the socket that it listens to.
_DAEMON: Final = "glasses_spark.runtime.python_workers.daemon"
SERVE: Final = "--serve"

# Variables that count when a package is imported. A daemon with others than the server had
# imports for itself.
_IMPORT_TIME: Final = ("CUDA_", "KERAS_", "MKL_", "OMP_", "OPENBLAS_", "PYTHONHASHSEED", "TF_")
_PIPES: Final = (0, 1, 2)
_LENGTH: Final = struct.Struct("!I")
_LONGEST_REQUEST: Final = 1 << 20
_TAKEN: Final = b"\1"
_servers: weakref.WeakKeyDictionary[SparkContext, _Server] = weakref.WeakKeyDictionary()


class _Server:
    """A running fork server, as this process sees it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        folder = tempfile.mkdtemp(prefix="glasses-spark-")  # for this user alone
        self.address = str(Path(folder, "fork-server"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            # From here on who connects waits until it has imported.
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-m", _DAEMON, SERVE, str(listener.fileno())],
                stdin=subprocess.PIPE,  # its end is the server's
                stdout=subprocess.DEVNULL,
                # What goes wrong goes wrong again in the daemon that then does without.
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C is for the driver
            )
        self.close = weakref.finalize(self, _close, self._process, folder)


def start_fork_server(context: SparkContext, environment: Mapping[str, str]) -> None:
    """Begin to import what workers train and score with, once for a Spark.

    Args:
        context: The running Spark, in local mode; the server ends with it or with this
            process.
        environment: Variables of the daemons that will hand over to it.
    """
    if context not in _servers:
        _servers[context] = _Server(environment)


def fork_server_address(context: SparkContext) -> str | None:
    """Where the fork server of a Spark listens; None where it has none."""
    server = _servers.get(context)
    return None if server is None else server.address


def import_time(environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables of an environment that count when packages are imported."""
    return {name: value for name, value in environment.items() if name.startswith(_IMPORT_TIME)}


def hand_over(address: str) -> bool:
    """Have a fork of the server do this daemon's work, with its pipes, until it has ended.

    Args:
        address: Where the server listens.

    Returns:
        False where nobody is there who can.
    """
    request = json.dumps(
        {
            "python": _python(),
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "path": sys.path,
        }
    )
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            socket.send_fds(connection, [_LENGTH.pack(len(request.encode()))], list(_PIPES))
            connection.sendall(request.encode())
            taken = connection.recv(len(_TAKEN)) == _TAKEN
        except OSError:
            return False
        if taken:
            with suppress(OSError):
                connection.recv(1)  # nothing comes but the end
        return taken


def serve(
    listener: socket.socket, prepare: Callable[[], object], work: Callable[[], object]
) -> NoReturn:
    """Fork a process for each daemon that connects, until standard input ends.

    Args:
        listener: Where they connect.
        prepare: What to do before the first fork, such as imports.
        work: What a daemon does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = import_time(os.environ)  # to which imports add
    prepare()
    while True:
        ready, _, _ = select.select([0, listener.fileno()], [], [], 1)
        if 0 in ready and not os.read(0, 1):
            os._exit(0)
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _work_for(connection, before, work)
            connection.close()
        with suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def _work_for(
    connection: socket.socket, imported_with: Mapping[str, str], work: Callable[[], object]
) -> NoReturn:
    code = 1
    try:
        request, pipes = _receive(connection)
        # Spark may have been given another Python for its workers than the driver's.
        same_python = request["python"] == _python()
        if same_python and import_time(request["environment"]) == imported_with:
            for pipe, place in zip(pipes, _PIPES, strict=True):
                os.dup2(pipe, place)
                os.close(pipe)
            os.environ.clear()
            os.environ.update(request["environment"])
            os.chdir(request["folder"])
            sys.path[:] = request["path"]
            connection.sendall(_TAKEN)
            work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _python() -> list[str]:
    """What tells this Python and its packages from others."""
    return [sys.version, sys.prefix]


def _receive(connection: socket.socket) -> tuple[Any, list[int]]:
    header, pipes, _, _ = socket.recv_fds(connection, _LENGTH.size, len(_PIPES))
    (length,) = _LENGTH.unpack(header)
    if length > _LONGEST_REQUEST:
        raise ValueError(f"a request of {length} bytes, more than {_LONGEST_REQUEST}")
    request = b""
    while len(request) < length:
        piece = connection.recv(length - len(request))
        if not piece:
            raise EOFError("the connection ended within a request")
        request += piece
    return json.loads(request), pipes


def _close(process: subprocess.Popen[bytes], folder: str) -> None:
    # The daemons that are forks of it live on, as long as Spark wants them.
    process.terminate()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    shutil.rmtree(folder, ignore_errors=True)
