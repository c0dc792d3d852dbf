"""Process that fetches with the real Kaggle client.

It reads one JSON object per line from standard input, and writes one per call to standard
output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glasses_spark.cli.logs import configure_logging
from glasses_spark.datasets.kaggle.fetch import fetch_dataset
from glasses_spark.errors import GlassesSparkError


def answer(call: dict[str, Any]) -> dict[str, Any]:
    """Do one call; return its result, pauses, progress and log lines."""
    pauses: list[float] = []
    shown: list[tuple[str, int, list[int]]] = []

    @contextmanager
    def counter(name: str, total: int) -> Iterator[Callable[[int], None]]:
        shown.append((name, total, []))
        yield shown[-1][2].append

    lines.clear()
    for name in [name for name in os.environ if name in CREDENTIALS]:
        del os.environ[name]
    os.environ.update(call["environment"])
    result: dict[str, Any] = {}
    try:
        fetched = fetch_dataset(
            call["dataset"],
            Path(call["folder"]),
            archive=Path(call["archive"]),
            keep=Path(call["keep"]) if call["keep"] else None,
            counter=counter,
            pause=pauses.append,
        )
        result = asdict(fetched)
    except GlassesSparkError as error:
        result = {"error": type(error).__name__, "message": str(error)}
        result["traceback"] = traceback.format_exc()
    return {**result, "pauses": pauses, "shown": shown, "log": list(lines)}


class Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        lines.append(self.format(record))


CREDENTIALS = ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN")
lines: list[str] = []

if __name__ == "__main__":
    # As with `--debug`, which logs the most.
    configure_logging(verbose=True, debug=True)
    logging.getLogger().addHandler(Lines())
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
