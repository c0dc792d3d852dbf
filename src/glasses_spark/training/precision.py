"""Precision: the number format in which workers compute; weights are float32 in all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession

from glasses_spark.config.fields import AUTO
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.machine import CPU_INFO, has_cpu_flag
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.training.worker.cpu_kernels import leaves

logger = logging.getLogger(__name__)

FLOAT32: Final = "float32"
BFLOAT16: Final = "bfloat16"
PRECISIONS: Final = (FLOAT32, BFLOAT16, AUTO)

# As Linux names them: of x86 with AVX-512 or AMX, and of ARM.
NATIVE_FLAGS: Final = frozenset(["avx512_bf16", "amx_bf16", "bf16"])


def resolve_precision(spark: SparkSession, wanted: str) -> str:
    """Tell in which format all workers of a fit compute.

    Args:
        spark: The session that runs them.
        wanted: One of `PRECISIONS`.

    Returns:
        ``float32`` or ``bfloat16``. For ``auto`` the latter where every
        executor that answered has instructions for it; without them it would be
        emulated, several times slower, though with the same result.
    """
    if wanted != AUTO:
        return wanted
    slots = task_slots(spark)
    # As many tasks as fit at once, so that Spark spreads them over all executors.
    answers = spark.range(0, slots, 1, slots).mapInArrow(_probe, "native boolean").collect()
    native = all(row.native for row in answers)
    precision = BFLOAT16 if native else FLOAT32
    logger.info(
        "training.precision = auto: %s, as %s",
        precision,
        "all executors compute bfloat16 natively" if native else "not all executors do bfloat16",
    )
    return precision


def has_native_bfloat16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether this machine's processor has instructions for bfloat16.

    Args:
        cpu_info: What Linux tells of the processor.

    Returns:
        False too where nothing is told.
    """
    return has_cpu_flag(NATIVE_FLAGS, cpu_info)


def compute_in(model: Any, precision: str) -> None:
    """Have a built Keras model compute in a format; its variables stay as they are.

    The layers that give the model's outputs stay in float32: bfloat16 has 8
    significant bits, and a probability next to 1 needs more for its loss.

    Args:
        model: A built Keras model.
        precision: ``float32``, which changes nothing, or ``bfloat16``.

    Raises:
        TrainingError: The model is of float64, which asks for more precision, not less.
    """
    if precision == FLOAT32:
        return
    if any(str(variable.dtype) == "float64" for variable in model.weights):
        raise TrainingError(
            "precision: expected a model of float32 for bfloat16, got one with float64 weights; "
            'take precision="float32"'
        )
    last = {id(tensor._keras_history.operation) for tensor in model.outputs}
    for layer in leaves(model):
        if id(layer) not in last and layer.dtype_policy.name == FLOAT32:
            layer.dtype_policy = f"mixed_{BFLOAT16}"


def _probe(batches: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"native": [has_native_bfloat16()]})
