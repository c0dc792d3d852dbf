"""Fork server: a process that imports TensorFlow before Spark needs a worker that has it.

Spark starts its Python daemons one at a time, under one lock of the executor. While a daemon
imports TensorFlow, no other task gets a worker. So in local mode a process that Spark does
not know of does the import. The daemon that Spark starts later connects to it, passes its
standard streams to a fork of it, and waits until that fork ends.

Both talk over a Unix socket in a folder that only this user can read.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from glasses_spark.runtime.owned_folder import process_folder
from glasses_spark.runtime.spark_settings import DAEMON_MODULE

if TYPE_CHECKING:
    from pyspark import SparkContext

ADDRESS_VARIABLE: Final = "GLASSES_SPARK_FORK_SERVER_ADDRESS"

# The argument that makes the daemon module a server. The number of the socket to listen on
# follows.
SERVE: Final = "--serve"

# Prefixes of variables that have an effect when a package is imported. A daemon with other
# values than the server's does its own import.
_IMPORT_TIME: Final = ("CUDA_", "KERAS_", "MKL_", "OMP_", "OPENBLAS_", "PYTHONHASHSEED", "TF_")
_STANDARD_STREAMS: Final = (0, 1, 2)
_LENGTH: Final = struct.Struct("!I")
_MAX_REQUEST_BYTES: Final = 1 << 20
_ACCEPTED: Final = b"\1"
_servers: weakref.WeakKeyDictionary[SparkContext, ForkServer] = weakref.WeakKeyDictionary()


class ForkServer:
    """A running fork server. It ends with this process, or when it is stopped.

    Args:
        environment: Environment variables of the daemons that will connect.

    Raises:
        OSError: The path of the temporary folder is too long for a socket.

    Attributes:
        address: Path of its Unix socket.
        pid: Its process id.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        # Readable by this user only. The path of a socket has at most 107 characters.
        self.address = str(process_folder() / f"fork-{secrets.token_hex(4)}")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            # From now on a daemon that connects waits for the import.
            listener.listen()
            process = subprocess.Popen(
                [sys.executable, "-m", DAEMON_MODULE, SERVE, str(listener.fileno())],
                stdin=subprocess.PIPE,  # its end stops the server
                stdout=subprocess.DEVNULL,
                # After a failed import the daemon imports itself, and reports the error.
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C must not reach it
            )
        self.pid = process.pid
        self.stop = weakref.finalize(self, _stop, process, self.address)


def start_fork_server(context: SparkContext, environment: Mapping[str, str]) -> ForkServer:
    """Start the fork server of a Spark, or return the running one.

    Args:
        context: The running Spark, in local mode. The server ends with it.
        environment: Environment variables of the daemons that will connect.
    """
    if context not in _servers:
        _servers[context] = ForkServer(environment)
    return _servers[context]


def stop_fork_server(context: SparkContext) -> None:
    """Stop the fork server of a Spark, if it has one. Later daemons do their own imports."""
    server = _servers.pop(context, None)
    if server is not None:
        server.stop()


def fork_server_address(context: SparkContext) -> str | None:
    """Return the address of a Spark's fork server; None if it has none."""
    server = _servers.get(context)
    return None if server is None else server.address


def import_time(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have an effect when a package is imported."""
    return {name: value for name, value in environment.items() if name.startswith(_IMPORT_TIME)}


def hand_over(address: str) -> bool:
    """Let a fork of the server do the work of this daemon, and wait until it ends.

    Args:
        address: Address of the server.

    Returns:
        False if no server answers, if it has another Python or environment, or if the current
        folder was removed.
    """
    try:
        folder = os.getcwd()
    except OSError:
        return False
    request = json.dumps(
        {
            "python": _python_id(),
            "environment": dict(os.environ),
            "folder": folder,
            "path": sys.path,
        }
    ).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            socket.send_fds(connection, [_LENGTH.pack(len(request))], list(_STANDARD_STREAMS))
            connection.sendall(request)
            accepted = connection.recv(len(_ACCEPTED)) == _ACCEPTED
        except OSError:
            return False
        if accepted:
            with suppress(OSError):
                connection.recv(1)  # returns when the fork ends
        return accepted


def serve(
    listener: socket.socket, prepare: Callable[[], object], work: Callable[[], object]
) -> NoReturn:
    """Fork a process for each daemon that connects, until standard input is closed.

    Args:
        listener: Socket for the connections.
        prepare: Called once before the first fork, for imports.
        work: The work of a daemon.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    variables = import_time(os.environ)  # before imports add some
    prepare()
    while True:
        ready, _, _ = select.select([0, listener.fileno()], [], [], 1)
        if 0 in ready and not os.read(0, 1):
            os._exit(0)
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _work_for(connection, variables, work)
            connection.close()
        with suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def _work_for(
    connection: socket.socket, imported_with: Mapping[str, str], work: Callable[[], object]
) -> NoReturn:
    code = 1
    try:
        request, streams = _receive(connection)
        # Spark's workers may use another Python than the driver.
        same_python = request["python"] == _python_id()
        if same_python and import_time(request["environment"]) == imported_with:
            _become(request, streams)
            connection.sendall(_ACCEPTED)
            work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _become(request: Mapping[str, Any], streams: list[int]) -> None:
    """Take over the standard streams, variables, folder and import path of a daemon."""
    for stream, number in zip(streams, _STANDARD_STREAMS, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:] = request["path"]


def _python_id() -> list[str]:
    """Return what identifies this Python and its packages."""
    return [sys.version, sys.prefix]


def _receive(connection: socket.socket) -> tuple[Any, list[int]]:
    header, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, len(_STANDARD_STREAMS))
    (length,) = _LENGTH.unpack(header)
    if length > _MAX_REQUEST_BYTES:
        raise ValueError(f"a request has {length} bytes, at most {_MAX_REQUEST_BYTES} are allowed")
    request = b""
    while len(request) < length:
        data = connection.recv(length - len(request))
        if not data:
            raise EOFError("the connection was closed within a request")
        request += data
    return json.loads(request), streams


def _stop(process: subprocess.Popen[bytes], address: str) -> None:
    # Forks that work as daemons live on until Spark ends them.
    process.terminate()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    Path(address).unlink(missing_ok=True)
