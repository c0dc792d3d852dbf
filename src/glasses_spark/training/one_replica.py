"""One replica: a step of a Keras optimizer without its sum over replicas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from glasses_spark.training.optimizers import leaf_optimizers

_SUM: Final = "_all_reduce_sum_gradients"


@contextmanager
def in_one_replica(optimizer: Any) -> Iterator[None]:
    """Let a Keras optimizer, or those in it, leave out the sum over replicas within the block.

    There is one replica, so the sum is its gradient. TensorFlow registers the gradient of the sum,
    and the graph around it, for the rest of the process: a megabyte or more for each fit.
    """
    leaves = [leaf for leaf in leaf_optimizers(optimizer) if hasattr(type(leaf), _SUM)]
    for leaf in leaves:
        # Around Keras' own setter, which would take it for a setting of the optimizer.
        vars(leaf)[_SUM] = list
    try:
        yield
    finally:
        for leaf in leaves:
            vars(leaf).pop(_SUM, None)
