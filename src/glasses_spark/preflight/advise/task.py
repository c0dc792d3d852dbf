"""Task of a probe: what it measures, passed to its process as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from glasses_spark.config.config import Config


@dataclass(frozen=True)
class Task:
    """Settings of the measurements.

    Attributes:
        config: Configuration of the run.
        sample: Paths of some images.
        workers: Numbers of workers to measure steps for.
        cores: Cores that the workers share.
        precisions: ``float32``, and ``bfloat16`` if it is worth measuring.
    """

    config: Config
    sample: Sequence[str]
    workers: Sequence[int]
    cores: int
    precisions: Sequence[str]

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Read a task that ``to_json`` has written."""
        values = json.loads(text)
        return cls(**{**values, "config": Config.from_dict(values["config"])})

    def to_json(self) -> str:
        """Return the task as JSON."""
        return json.dumps({**vars(self), "config": self.config.to_dict()})
