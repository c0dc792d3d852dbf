"""Tests for glasses_spark.runtime.kernel_cache."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

# Builds models with new names, and prints the bytes in use after each hundred.
PROGRAM = """
import ctypes, gc, json, threading
import numpy as np
from glasses_spark.runtime.keras import build_from_config, import_keras

class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
keras = import_keras(threads=1)
import tensorflow as tf

# Another thread computes all the time.
kept = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="ones")])
traced = tf.function(lambda rows: kept(rows), input_signature=[tf.TensorSpec((None, 4))])
stopped, errors = threading.Event(), []

def compute():
    rows = np.ones((2, 4), np.float32)
    while not stopped.is_set():
        if not np.array_equal(traced(rows), np.full((2, 3), 4)):
            errors.append("wrong")

thread = threading.Thread(target=compute)
thread.start()
used = []
for number in range(320):
    layers = [keras.layers.Dense(3, name=f"dense_of_{number}_{i}") for i in range(3)]
    model = keras.Sequential([keras.Input((4,)), *layers], name=f"model_{number}")
    build_from_config(model.to_json())
    del model, layers
    if number % 160 == 159:
        gc.collect()
        used.append(libc.mallinfo2().uordblks)
stopped.set()
thread.join()
print(json.dumps([used, errors]))
"""


@pytest.mark.slow
@pytest.mark.rotated
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs mallinfo2")
def test_models_of_new_names_take_no_more_memory_while_others_compute() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    used, errors = json.loads(done.stdout)
    assert errors == []
    # Without clearing, 160 models take some 40 MB.
    assert used[1] - used[0] < 8_000_000
