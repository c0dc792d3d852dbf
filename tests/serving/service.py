"""A running service, and requests to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from glasses_spark import build_cnn
from glasses_spark.scoring.export import export_model, with_pixel_input
from glasses_spark.scoring.model_metadata import ModelMetadata

SIDE = 32


@dataclass(frozen=True)
class Answer:
    """Response to one request."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request; ``_`` in the names of headers stands for ``-``."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()


@contextmanager
def running(model: Path, *options: str, **variables: str) -> Iterator[Service]:
    """Run ``glasses-spark serve`` on a free port."""
    command = [sys.executable, "-m", "glasses_spark", "serve", "--model", str(model)]
    process = subprocess.Popen(
        [*command, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert " at http://" in line, process.communicate()
        yield Service(process, line.split()[-1])
    finally:
        process.kill()
        process.communicate()


def write_model(path: Path) -> Any:
    """Export a small network that takes pixels of SIDE x SIDE, and return it."""
    network = with_pixel_input(build_cnn(SIDE, SIDE, seed=3))
    metadata = ModelMetadata(height=SIDE, width=SIDE, takes_pixels=True, digest="0123456789abcdef")
    export_model(network, path, metadata, format="onnx")
    return network


def probability(network: Any, pixels: Any) -> float:
    """Return what Keras computes for one decoded image."""
    return float(network.predict(np.asarray(pixels)[np.newaxis, ..., np.newaxis], verbose=0)[0, 0])


def form(*files: tuple[str, bytes], fields: int = 0) -> tuple[bytes, str]:
    """Return the body of a form with files, and its type."""
    boundary = "----boundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="f{n}"\r\n\r\nx\r\n'.encode()
        for n in range(fields)
    ]
    for name, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="{name}"'
        parts.append(f"{head}\r\nContent-Type: image/png\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), (
        f"multipart/form-data; boundary={boundary}"
    )
