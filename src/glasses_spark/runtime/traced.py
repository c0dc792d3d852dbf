"""Traced functions: each compiled by TensorFlow once, whatever the process has traced before."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


class Traced:
    """A function that TensorFlow traces at its first call.

    TensorFlow counts the traces of a function's code in the whole process. It takes the models of
    a grid, one after the other, for one function that is traced again and again, and warns of it.
    A concrete function is not counted, and no argument can trace it a second time.

    Args:
        function: Computes with TensorFlow.
        signature: ``tf.TensorSpec`` of each argument.
    """

    def __init__(self, function: Callable[..., Any], signature: Sequence[Any]) -> None:
        import tensorflow as tf

        self._function = tf.function(function, input_signature=signature, autograph=False)
        self._concrete: Any = None

    def trace(self) -> None:
        """Trace the function without running it."""
        if self._concrete is None:
            self._concrete = self._function.get_concrete_function()
            # TensorFlow leaves the cycles of the graph of such a function, which Python cannot
            # find: without this each fit would keep the graphs of its steps for good.
            weakref.finalize(
                self, _graphs().dismantle_func_graph, self._concrete.graph
            ).atexit = False

    def operations(self) -> set[str]:
        """Return the types of the operations of the trace; none before the first call."""
        if self._concrete is None:
            return set()
        graph = self._concrete.graph.as_graph_def()
        functions = (function.node_def for function in graph.library.function)
        return {node.op for nodes in (graph.node, *functions) for node in nodes}

    def __call__(self, *arguments: Any) -> Any:
        """Run the function; arguments may be NumPy arrays."""
        import tensorflow as tf

        if tf.config.functions_run_eagerly():  # asked for, to debug
            return self._function(*arguments)
        self.trace()
        return self._concrete(*arguments)


def _graphs() -> ModuleType:
    from tensorflow.python.framework import func_graph

    module: ModuleType = func_graph
    return module
