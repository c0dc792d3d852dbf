"""GPU: a worker computes on the one that Spark granted to its task, and sees no other.

Spark grants by ``spark.task.resource.gpu.amount``. What a process may see is settled in its
environment, before TensorFlow looks for devices; where TensorFlow has been imported already, as
in what local mode forks its workers from, it is told as well.

Not tried on a GPU yet: the tests have granted addresses, and no device behind them.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from glasses_spark.errors import WorkerError

logger = logging.getLogger(__name__)

# By this name Spark's settings and its discovery scripts speak of GPUs.
RESOURCE: Final = "gpu"
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
NO_DEVICE: Final = "-1"

# Left for later tasks of the same process, in which TensorFlow is settled.
TAKEN: Final = "GLASSES_SPARK_GPU"


class Grant(Protocol):
    """What Spark granted of one resource, as ``TaskContext.resources()`` has it."""

    @property
    def addresses(self) -> Sequence[str]:
        """As the discovery script gave them: ``0``, ``1``, or UUIDs."""


def device_settings(resources: Mapping[str, Grant]) -> dict[str, str]:
    """Say by which variables a process computes on the GPU of its task, or on none.

    Args:
        resources: What Spark granted to the task, by name.

    Returns:
        Environment variables. Of several granted GPUs the first is taken: a worker computes
        on one.

    Raises:
        WorkerError: Spark granted GPUs and gave no address.
    """
    grant = resources.get(RESOURCE)
    if grant is None:
        return {VISIBLE: NO_DEVICE}
    if not grant.addresses:
        raise WorkerError(
            "found a granted GPU without an address, wanted one such as 0; correct what "
            "spark.executor.resource.gpu.discoveryScript prints"
        )
    address = str(grant.addresses[0])
    return {
        VISIBLE: address,
        TAKEN: address,
        # nvidia-smi, and so the discovery script, counts by place on the bus; CUDA by speed.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        # Else TensorFlow takes all memory at once, and tasks that share a GPU get in the way.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def take_granted_gpu() -> None:
    """Settle which GPU this process computes on, before TensorFlow computes anything in it.

    Outside of a Spark task nothing is changed. A process that Spark hands on to a later task
    keeps the GPU that it has, as TensorFlow cannot change it: one of the same executor.
    """
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        return
    settings = device_settings(context.resources())
    wanted, taken = settings[VISIBLE], os.environ.get(TAKEN)
    if taken is None and wanted != os.environ.get(VISIBLE):
        os.environ.update(settings)
        if "tensorflow" in sys.modules:
            _restrict(wanted)
    elif taken is not None and wanted != taken:
        logger.warning(
            "Spark granted GPU %s to this task, and its process stays on GPU %s, where it has "
            "computed before; spark.python.worker.reuse=false gives each task a new process",
            wanted,
            taken,
        )


def choose_device(address: str, devices: Sequence[Any]) -> list[Any]:
    """Choose the devices that TensorFlow is to see among those that it has found.

    Args:
        address: The granted one, or `NO_DEVICE`.
        devices: TensorFlow's physical GPUs, in their order.

    Returns:
        One device, or none: where none is granted, or TensorFlow has not found it.
    """
    if address == NO_DEVICE or not devices:
        return []
    # Where it looked after the environment had been settled, it has found no other.
    if len(devices) == 1:
        return [devices[0]]
    if address.isdecimal() and int(address) < len(devices):
        return [devices[int(address)]]
    return []


def _restrict(address: str) -> None:
    """Have a TensorFlow that is imported already see one GPU, or none."""
    import tensorflow as tf

    chosen = choose_device(address, tf.config.list_physical_devices("GPU"))
    if address != NO_DEVICE and not chosen:
        logger.warning(
            "Spark granted GPU %s, and TensorFlow finds no such device: this worker computes on "
            "the CPU. Are a TensorFlow for CUDA and the driver installed there?",
            address,
        )
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for device in chosen:
            tf.config.experimental.set_memory_growth(device, True)
    except RuntimeError as error:
        logger.warning("TensorFlow computes in this process already: %s", error)
