"""Calls of ``fetch_dataset`` in another process, and the archive that it fetches."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from glasses_spark.datasets.kaggle.download import CHUNK_BYTES
from glasses_spark.datasets.kaggle.fetch import MANIFEST
from tests.datasets.kaggle.kaggle_server import (
    BY_KEY,
    DATASET,
    KEY,
    SIGNATURE,
    TOKEN,
    KaggleServer,
)
from tests.faces import noise_png


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


FACES: Final = {f"face-{number}.png": noise_png(200, 200, seed=number) for number in (1, 2, 3)}
TABLE: Final = {"train.csv": b"id,glasses\n1,0\n"}
FILES: Final = {**FACES, **TABLE}
LABELS: Final = b"index,label\n1,1.0\n2,0.0\n3,\n"
ARCHIVE: Final = zip_files(
    {
        **{f"faces-spring-2020/faces-spring-2020/{name}": FACES[name] for name in FACES},
        **TABLE,
        "notes.txt": b"ignored",
        "__MACOSX/._face-1.png": b"ignored",
    }
)
HALF: Final = 2 * CHUNK_BYTES
assert len(ARCHIVE) > 5 * CHUNK_BYTES


class Fetcher:
    """A process that calls ``fetch_dataset`` with a local server in place of Kaggle's.

    Args:
        server: The local server.
        home: Home folder of the process.
    """

    def __init__(self, server: KaggleServer, home: Path) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if "KAGGLE" not in name},
            "HOME": str(home),
            # The client must not print what it sends, even with this variable.
            "VERBOSE": "true",
            **server.environment,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.datasets.kaggle.fetch_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )

    def __call__(
        self,
        folder: Path,
        environment: Mapping[str, str] = BY_KEY,
        *,
        dataset: str = DATASET,
        archive: Path = Path("none.zip"),
        keep: Path | None = None,
    ) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        call = {
            "dataset": dataset,
            "folder": str(folder),
            "environment": dict(environment),
            "archive": str(archive),
            "keep": str(keep) if keep else None,
        }
        print(json.dumps(call), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        for secret in (KEY, TOKEN, SIGNATURE):
            assert secret not in line
        answer: dict[str, Any] = json.loads(line)
        return answer


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder, except the manifest."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def error_message(answer: dict[str, Any]) -> str:
    """Return the message of a FetchError, which must be one line."""
    assert answer["error"] == "FetchError"
    assert "\n" not in answer["message"]
    return str(answer["message"])
