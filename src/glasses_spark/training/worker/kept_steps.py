"""Kept steps: traced once in each process for the fits of a grid, which have the same model.

Only the rows, the weights and the learning rate of such fits differ, and steps take these as
arguments or from variables. To trace a small model takes as long as some epochs of it. The cost
is the memory of one model in an idle Python worker; ``spark.python.worker.reuse=false`` ends
the processes after each fit, and keeps nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from pyspark import cloudpickle

from glasses_spark.training.metric_states import MetricRules
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.worker.spool import RowFormat
from glasses_spark.training.worker.steps import Steps

# At most one entry: the steps of the last fit of a grid in this process.
_kept: dict[str, Steps] = {}


def steps_key(spec: ModelSpec, row_format: RowFormat, rules: MetricRules) -> str:
    """Return what is equal for fits whose steps are the same; computed in the driver."""
    # The rate is a variable. Whether there is one decides where the model's own comes from.
    without_rate = replace(spec, learning_rate=1.0 if spec.learning_rate else 0.0)
    content = cloudpickle.dumps((without_rate, row_format, rules))  # type: ignore[no-untyped-call]
    return hashlib.sha256(content).hexdigest()


def keep_steps(key: str, learning_rate: float, build: Callable[[], Steps]) -> Steps:
    """Return the steps of the last fit in this process, as new, if they have the same key.

    Args:
        key: What the steps depend on; empty builds steps that are not kept.
        learning_rate: Learning rate of this fit; 0 keeps the optimizer's own.
        build: Builds the steps.
    """
    steps = _kept.pop(key, None)
    # Before another model is built: not two at a time.
    _kept.clear()
    if steps is None or steps.has_own_state():
        steps = build()
    else:
        steps.restart(learning_rate)
    if key:
        _kept[key] = steps
    return steps
