"""Precision: the number format in which workers compute; weights are always float32."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession

from glasses_spark.config.fields import AUTO
from glasses_spark.config.training import BFLOAT16, FLOAT32
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.machine import CPU_INFO, has_cpu_flag
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.runtime.workers import driver_python
from glasses_spark.training.worker.cpu_kernels import leaf_layers

logger = logging.getLogger(__name__)

# Linux' names of the instructions: of x86 with AVX-512 or AMX, and of ARM.
NATIVE_FLAGS: Final = frozenset(["avx512_bf16", "amx_bf16", "bf16"])


def resolve_precision(spark: SparkSession, precision: str) -> str:
    """Return the number format in which all workers of a fit compute.

    Args:
        spark: Session that runs the workers.
        precision: ``float32``, ``bfloat16`` or ``auto``.

    Returns:
        ``float32`` or ``bfloat16``. For ``auto`` it is ``bfloat16`` if all executors that
        were probed have instructions for it. Without them bfloat16 is emulated, with the
        same result but several times slower.
    """
    if precision != AUTO:
        return precision
    slots = task_slots(spark)
    # One task for each slot, so that Spark runs tasks on all executors.
    with driver_python(spark):
        probed = spark.range(0, slots, 1, slots).mapInArrow(_probe, "native boolean")
    rows = probed.collect()
    native = all(row.native for row in rows)
    precision = BFLOAT16 if native else FLOAT32
    logger.info(
        "training.precision = auto: %s, because %s executors have instructions for bfloat16",
        precision,
        "all" if native else "not all",
    )
    return precision


def has_native_bfloat16(cpu_info: Path = CPU_INFO) -> bool:
    """Return whether this machine's processor has instructions for bfloat16.

    Args:
        cpu_info: Linux' description of the processor; a missing file means no.
    """
    return has_cpu_flag(NATIVE_FLAGS, cpu_info)


def compute_in(model: Any, precision: str) -> None:
    """Make a built Keras model compute in a number format; its variables keep theirs.

    The layers that return the model's outputs stay in float32: bfloat16 has 8
    significant bits, and the loss of a probability near 1 needs more.

    Args:
        model: A built Keras model.
        precision: ``float32``, which changes nothing, or ``bfloat16``.

    Raises:
        TrainingError: ``bfloat16`` is wanted for a model with float64 weights.
    """
    if precision == FLOAT32:
        return
    if any(str(variable.dtype) == "float64" for variable in model.weights):
        raise TrainingError(
            "precision=bfloat16 needs a model with float32 weights, found float64 weights. Use "
            'precision="float32"'
        )
    output_layers = {id(tensor._keras_history.operation) for tensor in model.outputs}
    for layer in leaf_layers(model):
        if id(layer) not in output_layers and layer.dtype_policy.name == FLOAT32:
            layer.dtype_policy = f"mixed_{BFLOAT16}"


def _probe(batches: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"native": [has_native_bfloat16()]})
