"""Metrics as a user may write them, some of which states cannot be added."""

from __future__ import annotations

from functools import cache
from typing import Any

from glasses_spark.runtime.keras import import_keras


@cache
def own_metrics() -> dict[str, Any]:
    """Return classes of metrics by their names; Keras is imported at the call."""
    keras = import_keras()
    ops = keras.ops
    base: Any = keras.metrics.Metric
    registered = keras.saving.register_keras_serializable(package="own_metrics")

    def one_number(name: str, update: Any, *, start: str = "zeros") -> Any:
        """Make a metric with one number as its state."""

        class OneNumber(base):
            def __init__(self, name: str = name, dtype: Any = None) -> None:
                super().__init__(name=name, dtype=dtype)
                self.value = self.add_variable((), start, name="value")

            def update_state(self, y: Any, p: Any, sample_weight: Any = None) -> None:
                self.value.assign(update(self.value, ops.cast(y, self.dtype), p))

            def reset_state(self) -> None:
                self.value.assign(ops.ones(()) if start == "ones" else ops.zeros(()))

            def result(self) -> Any:
                # Not the variable: Keras would log its value after the validation.
                return self.value + 0.0

        OneNumber.__name__ = OneNumber.__qualname__ = name
        return registered(OneNumber)

    class NeverReset(base):
        def __init__(self, name: str = "never_reset", dtype: Any = None) -> None:
            super().__init__(name=name, dtype=dtype)
            self.value = self.add_variable((), "zeros", name="value")

        def update_state(self, y: Any, p: Any, sample_weight: Any = None) -> None:
            self.value.assign(self.value + 1.0)

        def reset_state(self) -> None:
            pass

        def result(self) -> Any:
            return self.value

    class NoVariables(base):
        def __init__(self, name: str = "no_variables", dtype: Any = None) -> None:
            super().__init__(name=name, dtype=dtype)
            self.batches = 0

        def update_state(self, y: Any, p: Any, sample_weight: Any = None) -> None:
            self.batches += 1

        def result(self) -> Any:
            return ops.convert_to_tensor(float(self.batches))

    dense: Any = keras.layers.Dense

    class WatchedDense(dense):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.watch = keras.metrics.Mean(name="mean_output")

        def call(self, x: Any) -> Any:
            output = super().call(x)
            self.watch.update_state(output)
            return output

    metrics = {
        "largest_error": lambda value, y, p: ops.maximum(value, ops.max(ops.abs(y - p))),
        "last_batch": lambda value, y, p: ops.mean(p),
        "rows_seen": lambda value, y, p: value + ops.cast(ops.shape(p)[0], value.dtype),
    }
    return {
        **{name: one_number(name, update) for name, update in metrics.items()},
        "product": one_number("product", lambda value, y, p: value * ops.mean(p), start="ones"),
        "starts_at_one": one_number(
            "starts_at_one", lambda value, y, p: value + ops.sum(p), start="ones"
        ),
        "never_reset": registered(NeverReset),
        "no_variables": registered(NoVariables),
        "watched_dense": registered(WatchedDense),
    }
