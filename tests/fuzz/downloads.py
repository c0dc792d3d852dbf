"""Fuzz targets of downloads: ``zip`` and ``http``."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from glasses_spark.datasets.kaggle.download import download
from glasses_spark.datasets.kaggle.unpack import missing_bytes, unpack
from glasses_spark.errors import FetchError
from tests.fuzz.archives import archive_of, mutate
from tests.fuzz.images import seeds as pictures
from tests.fuzz.target import Check, Target, refused


def zip_seeds() -> list[bytes]:
    """Return archives of faces and labels, stored and deflated, in folders and without."""
    picture = pictures()[0]
    entries = {"faces/face-1.png": picture, "faces/face-2.png": picture, "train.csv": b"id,glasses"}
    return [archive_of(entries), archive_of(entries, 8), archive_of({"a.png": picture})]


@contextmanager
def zip_opened() -> Iterator[Check]:
    """Provide a check: files appear in their folder and nowhere else, or nothing is unpacked."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        archive, folder = root / "archive.zip", root / "in" / "faces"

        def check(data: bytes) -> None:
            shutil.rmtree(root / "in", ignore_errors=True)
            archive.write_bytes(data)
            refused(lambda: missing_bytes(archive, folder, present=root / "none"), FetchError)
            refused(
                lambda: unpack(archive, folder, present=root / "none", counter=_counter), FetchError
            )
            assert {path.name for path in root.iterdir()} <= {"archive.zip", "in"}
            if folder.exists():
                assert {path.name for path in (root / "in").iterdir()} == {"faces"}
                assert all(path.is_file() and not path.is_symlink() for path in folder.iterdir())

        yield check


def http_seeds() -> list[bytes]:
    """Return answers of a server: whole, a part, compressed, chunked, redirected, an error."""
    body = b"0123456789"
    return [
        b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "1"\r\n\r\n' + body,
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n"
        + body[4:],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n" + body + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n" + body,
        b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Too Many\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-goog-hash: md5=eB5eJF1ptWaXm4bijSPyxw==\r\n\r\n" + body,
    ]


@contextmanager
def http_opened() -> Iterator[Check]:
    """Provide a check: a server's answer ends in a file or in an error, soon."""
    with tempfile.TemporaryDirectory() as name, _Server() as server:
        path = Path(name) / "archive.zip"

        def check(data: bytes) -> None:
            for file in Path(name).iterdir():
                file.unlink()
            server.answer = data
            refused(
                lambda: download(
                    lambda: server.address,
                    path,
                    name="archive.zip",
                    counter=_counter,
                    pause=lambda seconds: None,
                ),
                FetchError,
            )

        yield check


class _Server:
    """Sends the same bytes to whoever connects, and closes the connection."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/archive.zip"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> _Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with closing(connection), _peer_may_leave():
                connection.recv(65_536)
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)


@contextmanager
def _peer_may_leave() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def _counter(name: str, total: int) -> Any:
    show: Callable[[int], None] = lambda done: None  # noqa: E731
    return nullcontext(show)


ZIP: Final = Target("zip", zip_seeds, zip_opened, mutate)
HTTP: Final = Target("http", http_seeds, http_opened)
