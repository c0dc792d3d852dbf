"""Kaggle on loopback: what its client asks while it downloads a data set, and faults on demand.

The real client talks to it, in a process of its own: ``KAGGLE_API_ENVIRONMENT=LOCALHOST``
sends it to http://localhost, and the proxy of that process, for every host, is this
server. The variables must be set before kaggle is imported. (TEST and QA would not do:
the client then talks to the real Kaggle.)
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
    """How the next answer differs from the right one.

    Attributes:
        status: Answer this in place of the file.
        headers: With that.
        cut: Close the connection after so many bytes.
        stall: After so many bytes send no more until the server is stopped.
        damaged: Change the first byte, and keep to what was said of the file.
        promised: Say that the file has so many bytes.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: int | None = None
    damaged: bool = False
    promised: int | None = None


class KaggleServer(ThreadingHTTPServer):
    """Answers as Kaggle and its storage do; see ``serving``."""

    daemon_threads = True
    # Loopback, at a free port.
    place = ("127.0.0.1", 0)

    def __init__(self) -> None:
        super().__init__(self.place, _Handler)
        self.stopped = threading.Event()
        self.reset(b"")

    def reset(self, archive: bytes, labels: bytes = b"") -> None:
        """Forget all that was asked, and offer other files."""
        self.archive, self.labels = archive, labels
        self.wants_credential = True
        self.api_faults: list[Fault] = []
        self.storage_faults: list[Fault] = []
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.stalled = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process whose Kaggle this is."""
        url = f"http://127.0.0.1:{self.server_port}"
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": url,
            "HTTP_PROXY": url,
            "no_proxy": "",
            "NO_PROXY": "",
        }

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up: they are part of the tests."""


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
            self._say({"code": fault.status, "message": "no"}, fault.status, fault.headers)
        elif method == "security.OAuthService/IntrospectToken":
            known = asked["token"] == TOKEN
            self._say({"active": known, "username": USER if known else ""})
        elif not self._allowed():
            self._say({"code": 401, "message": "Unauthenticated"}, 401)
        elif (asked["ownerSlug"], asked["datasetSlug"]) != (OWNER, NAME):
            self._say({"code": 403, "message": "Permission 'datasets.get' was denied"}, 403)
        else:
            place = f"{STORAGE}/archive.zip?X-Goog-Signature={SIGNATURE}"
            self._answer(302, {"Location": place}, b"")

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if self.path == LABELS_URL:
            return self._answer(200, {}, self.server.labels)
        assert f"{url.scheme}://{url.netloc}" == STORAGE
        if self.server.asked[-1:] == ["datasets.DatasetApiService/DownloadDataset"]:
            # The client follows the redirection, looks at the headers and hangs up.
            self.server.asked.append("look")
            return self._file(None, None)
        wanted = self.headers.get("Range")
        self.server.asked.append("storage")
        self.server.ranges.append(wanted)
        faults = self.server.storage_faults
        return self._file(wanted, faults.pop(0) if faults else None)

    def _allowed(self) -> bool:
        given = self.headers.get("Authorization")
        pair = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        if given is None:
            return not self.server.wants_credential
        return given in (f"Bearer {TOKEN}", f"Basic {pair}")

    def _file(self, wanted: str | None, fault: Fault | None) -> None:
        fault = fault or Fault()
        if fault.status:
            return self._answer(fault.status, fault.headers, b"<Error/>")
        content = self.server.archive
        md5 = hashlib.md5(content)
        etag = f'"{md5.hexdigest()}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={base64.b64encode(md5.digest()).decode()}"
        if fault.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        status, start = 200, 0
        if wanted and self.headers.get("If-Range", etag) == etag:
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert found
            status, start = 206, int(found[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        content = content[start:]
        headers["Content-Length"] = str(fault.promised or len(content))
        if fault.stall is not None:
            self._answer(status, headers, content[: fault.stall])
            self.server.stalled.set()
            self.server.stopped.wait()
        elif fault.cut is not None or fault.promised:
            self._answer(status, headers, content[: fault.cut])
            self.close_connection = True
        else:
            self._answer(status, headers, content)

    def _say(self, value: object, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        content = json.dumps(value).encode()
        self._answer(status, {"Content-Type": "application/json", **headers}, content)

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
