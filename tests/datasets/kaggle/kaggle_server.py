"""Local server that answers as Kaggle and its storage do, with faults on demand.

The real client connects to it from another process: ``KAGGLE_API_ENVIRONMENT=LOCALHOST`` makes
it use http://localhost, and this server is the proxy of that process for every host. The
variables must be set before kaggle is imported. (With TEST and QA the client would connect to
the real Kaggle.)
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

OWNER, NAME = "jeffheaton", "glasses-or-no-glasses"
DATASET = f"{OWNER}/{NAME}"
USER, KEY = "ada", "0f3d-secret-key"
TOKEN = "KGAT_secret_token"
SIGNATURE = "secret-signature"
BY_KEY = {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}
BY_TOKEN = {"KAGGLE_API_TOKEN": TOKEN}
STORAGE = "http://storage.test"
LABELS_URL = "http://pages.test/labels.csv"


@dataclass(frozen=True)
class Fault:
    """How the next answer differs from the normal one.

    Attributes:
        status: HTTP status to send instead of the file.
        headers: Headers of that answer.
        cut: Number of bytes after which to close the connection.
        stall: Number of bytes after which to send no more until the server stops.
        damaged: Whether to change the first byte, but not the checksum.
        length: Length of the file to declare.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: int | None = None
    damaged: bool = False
    length: int | None = None


class KaggleServer(ThreadingHTTPServer):
    """Server that answers as Kaggle and its storage do; see ``serving``.

    Attributes:
        asked: Names of the requests so far.
        ranges: Header ``Range`` of each request to the storage.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stopped = threading.Event()
        self.reset(b"")

    def reset(self, archive: bytes, labels: bytes = b"") -> None:
        """Clear the requests and faults, and offer other files."""
        self.archive, self.labels = archive, labels
        self.wants_credential = True
        self.api_faults: list[Fault] = []
        self.storage_faults: list[Fault] = []
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.stalled = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a process that uses this server in place of Kaggle's."""
        url = f"http://127.0.0.1:{self.server_port}"
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": url,
            "HTTP_PROXY": url,
            "no_proxy": "",
            "NO_PROXY": "",
        }

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about clients that disconnect: they are part of the tests."""


@contextmanager
def serving() -> Iterator[KaggleServer]:
    """Serve on loopback while the block runs."""
    with KaggleServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KaggleServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        asked = json.loads(self.rfile.read(length) or b"{}")
        method = urlsplit(self.path).path.removeprefix("/api/v1/")
        self.server.asked.append(method)
        fault = self.server.api_faults.pop(0) if self.server.api_faults else None
        if fault:
            self._send_json({"code": fault.status, "message": "no"}, fault.status, fault.headers)
        elif method == "security.OAuthService/IntrospectToken":
            known = asked["token"] == TOKEN
            self._send_json({"active": known, "username": USER if known else ""})
        elif not self._allowed():
            self._send_json({"code": 401, "message": "Unauthenticated"}, 401)
        elif (asked["ownerSlug"], asked["datasetSlug"]) != (OWNER, NAME):
            self._send_json({"code": 403, "message": "Permission 'datasets.get' was denied"}, 403)
        else:
            address = f"{STORAGE}/archive.zip?X-Goog-Signature={SIGNATURE}"
            self._send(302, {"Location": address}, b"")

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if self.path == LABELS_URL:
            return self._send(200, {}, self.server.labels)
        assert f"{url.scheme}://{url.netloc}" == STORAGE
        if self.server.asked[-1:] == ["datasets.DatasetApiService/DownloadDataset"]:
            # The client follows the redirection, reads the headers and disconnects.
            self.server.asked.append("look")
            return self._send_file(None, None)
        requested = self.headers.get("Range")
        self.server.asked.append("storage")
        self.server.ranges.append(requested)
        faults = self.server.storage_faults
        return self._send_file(requested, faults.pop(0) if faults else None)

    def _allowed(self) -> bool:
        credential = self.headers.get("Authorization")
        pair = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        if credential is None:
            return not self.server.wants_credential
        return credential in (f"Bearer {TOKEN}", f"Basic {pair}")

    def _send_file(self, requested: str | None, fault: Fault | None) -> None:
        fault = fault or Fault()
        if fault.status:
            return self._send(fault.status, fault.headers, b"<Error/>")
        content = self.server.archive
        md5 = hashlib.md5(content)
        etag = f'"{md5.hexdigest()}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={base64.b64encode(md5.digest()).decode()}"
        if fault.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        status, start = 200, 0
        if requested and self.headers.get("If-Range", etag) == etag:
            match = re.fullmatch(r"bytes=(\d+)-", requested)
            assert match
            status, start = 206, int(match[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        content = content[start:]
        headers["Content-Length"] = str(fault.length or len(content))
        if fault.stall is not None:
            self._send(status, headers, content[: fault.stall])
            self.server.stalled.set()
            self.server.stopped.wait()
        elif fault.cut is not None or fault.length:
            self._send(status, headers, content[: fault.cut])
            self.close_connection = True
        else:
            self._send(status, headers, content)

    def _send_json(self, value: object, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        content = json.dumps(value).encode()
        self._send(status, {"Content-Type": "application/json", **headers}, content)

    def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
