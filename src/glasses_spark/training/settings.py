"""Settings of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from glasses_spark.training.precision import FLOAT32


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    Attributes:
        epochs: Passes over the rows, at least 1.
        batch_size: Rows in one step of one worker, at least 1.
        num_workers: Count of workers, at least 1, or ``"auto"``: one a task slot.
        mode: ``synchronous``, ``asynchronous`` or ``hogwild``.
        frequency: ``batch`` or ``epoch``.
        classes: Length of one-hot labels, or None for labels as they are.
        validation_split: Share of the rows held back for validation, in [0, 1).
        seed: Seed of the run.
        stall_timeout: Seconds of silence after which a worker counts as lost.
        port: Port of the parameter server; 0 takes a free one.
        class_weights: Weight of each label's rows in the loss; 1 where it is not named.
        precision: ``float32``, ``bfloat16`` or ``auto``: the format in which workers compute.
        staleness_aware: Whether asynchronous updates count for less the staler they are.
    """

    epochs: int
    batch_size: int
    num_workers: int | str
    mode: str
    frequency: str
    classes: int | None
    validation_split: float
    seed: int
    stall_timeout: float
    port: int = 0
    class_weights: Mapping[float, float] = field(default_factory=dict)
    precision: str = FLOAT32
    staleness_aware: bool = True


@dataclass(frozen=True)
class Columns:
    """The user's columns: features, label, and optionally a weight and a validation flag."""

    features: str
    label: str
    weight: str | None = None
    validation: str | None = None
