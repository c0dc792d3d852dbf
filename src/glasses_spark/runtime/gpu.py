"""GPUs: a worker computes on the GPU that Spark granted to its task, and sees no other.

Spark grants GPUs by ``spark.task.resource.gpu.amount``. Environment variables decide which
GPUs a process sees, so they are set before TensorFlow looks for devices. Where TensorFlow is
imported already, as in the process that local mode forks its workers from, TensorFlow is
configured as well.

Tested with granted addresses only, not on a real GPU.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from glasses_spark.errors import WorkerError

logger = logging.getLogger(__name__)

# The name of GPUs in Spark's settings and in its discovery scripts.
RESOURCE: Final = "gpu"
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
NO_DEVICE: Final = "-1"

# Holds the GPU of a process for its later tasks: TensorFlow cannot change it.
TAKEN: Final = "GLASSES_SPARK_GPU"


class Grant(Protocol):
    """What Spark granted of one resource, as in ``TaskContext.resources()``."""

    @property
    def addresses(self) -> Sequence[str]:
        """Addresses that the discovery script printed: ``0``, ``1``, or UUIDs."""


def device_settings(resources: Mapping[str, Grant]) -> dict[str, str]:
    """Return the environment variables for computing on the GPU of a task, or on none.

    Args:
        resources: What Spark granted to the task, by name.

    Returns:
        Environment variables. Of several granted GPUs the first is used: a worker computes
        on one.

    Raises:
        WorkerError: Spark granted GPUs without an address.
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
        # nvidia-smi, and so the discovery script, numbers GPUs by bus; CUDA by speed.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        # TensorFlow would take all memory at once, and tasks that share a GPU would fail.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def take_granted_gpu() -> None:
    """Choose the GPU of this process, before TensorFlow computes anything in it.

    Does nothing outside a Spark task. A process that Spark reuses for a later task keeps its
    GPU, which belongs to the same executor, as TensorFlow cannot change it.
    """
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        return
    settings = device_settings(context.resources())
    granted, taken = settings[VISIBLE], os.environ.get(TAKEN)
    if taken is None and granted != os.environ.get(VISIBLE):
        os.environ.update(settings)
        if "tensorflow" in sys.modules:
            _restrict_tensorflow(granted)
    elif taken is not None and granted != taken:
        logger.warning(
            "Spark granted GPU %s to this task, but its process computed on GPU %s before and "
            "stays on it. spark.python.worker.reuse=false gives each task a new process",
            granted,
            taken,
        )


def choose_device(address: str, devices: Sequence[Any]) -> list[Any]:
    """Choose the devices that TensorFlow may use.

    Args:
        address: The granted address, or `NO_DEVICE`.
        devices: TensorFlow's physical GPUs, in its order.

    Returns:
        One device; none where none is granted or TensorFlow did not find it.
    """
    if address == NO_DEVICE or not devices:
        return []
    # TensorFlow looked after the variables were set: it saw only the granted one.
    if len(devices) == 1:
        return [devices[0]]
    if address.isdecimal() and int(address) < len(devices):
        return [devices[int(address)]]
    return []


def _restrict_tensorflow(address: str) -> None:
    """Show one GPU, or none, to a TensorFlow that is already imported."""
    import tensorflow as tf

    chosen = choose_device(address, tf.config.list_physical_devices("GPU"))
    if address != NO_DEVICE and not chosen:
        logger.warning(
            "Spark granted GPU %s, but TensorFlow finds no such device: this worker computes on "
            "the CPU. Install TensorFlow for CUDA and the GPU's driver on the executor",
            address,
        )
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for device in chosen:
            tf.config.experimental.set_memory_growth(device, True)
    except RuntimeError as error:
        logger.warning("TensorFlow has already computed in this process: %s", error)
