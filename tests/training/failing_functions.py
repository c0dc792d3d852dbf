"""Functions of users that fail in Spark's Python workers.

Each attempt of a task imports this module in a new process, so it imports little.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def fail_row(x: object) -> float:
    raise ValueError(f"no such label: {x}")


def kill_itself(x: object) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def fail_batches(batches: Iterable[Any]) -> Iterable[Any]:
    raise KeyError("colour")


def wrong_type(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
    for batch in batches:
        yield batch.assign(label="x")
