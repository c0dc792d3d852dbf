"""Kernel cache: what TensorFlow keeps for good in a process that builds models for ever.

TensorFlow keeps a kernel for each variable's name that it has seen.

The name is an attribute of the operation that creates a variable, and Keras gives each new layer,
model and optimizer another name. So a process that builds models for ever, such as a Python worker
of Spark or a driver that searches a grid, would grow by 0.2 to 0.5 MB for each model. `count_model`
removes them.

It also keeps each stack trace of an operation that it has not seen, with its code objects. A
function within another one reaches Spark's workers as a copy, whose code is new in each job: the
traces of a fit took 0.4 MB of a worker. So functions that compute with TensorFlow in workers are
``functools.partial`` of a module's function, which Spark sends as a name.
"""

from __future__ import annotations

import threading
from typing import Final

# Models between two clearings. Afterwards TensorFlow prepares the functions of models that live
# again at their next call; the kernels of so many models are some 15 MB.
MODELS_BETWEEN: Final = 32

_lock = threading.Lock()
_built = 0


def count_model() -> None:
    """Note that this process has built a model, and clear the cache from time to time.

    Other threads may compute meanwhile: TensorFlow counts the references to a kernel.
    """
    global _built
    with _lock:
        _built += 1
        is_due = _built % MODELS_BETWEEN == 0
    if is_due:
        from tensorflow.python.eager import context

        context.context().clear_kernel_cache()
