"""Shared specification: the model that all tasks of a fit train, in a broadcast of its own.

Spark writes the command of a Python function of more than 1 MiB, with all that the function
refers to, to files on the driver's disk and on those of the executors. The weights make a
command that large. So they are not part of it, and it keeps the workers' private key in memory.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from pyspark.serializers import CloudPickleSerializer

from glasses_spark.training.model_spec import ModelSpec

if TYPE_CHECKING:
    from pyspark import SparkContext

# In place of the specification in what every task receives.
NO_MODEL: Final = ModelSpec(config="", loss=None, metrics=None, optimizer=None)


@dataclass(frozen=True)
class SharedSpec:
    """A model specification that tasks can read.

    Attributes:
        broadcast: Broadcast of the pickled specification.
    """

    broadcast: Any

    @classmethod
    def of(cls, context: SparkContext, spec: ModelSpec) -> Self:
        """Give a specification to the tasks of a Spark, until `close`.

        Raises:
            PicklingError: It has an object that cannot be sent to another process.
        """
        # A broadcast of the object itself could not hold functions of the user's program.
        packed = CloudPickleSerializer().dumps(spec)  # type: ignore[no-untyped-call]
        return cls(context.broadcast(packed))

    def read(self) -> ModelSpec:
        """Return the specification, within a task."""
        packed = self.broadcast.value
        spec: ModelSpec = CloudPickleSerializer().loads(packed)  # type: ignore[no-untyped-call]
        return spec

    def close(self) -> None:
        """Remove the files of the broadcast; no task can read it any more."""
        # A Spark that was stopped has removed them, and raises errors of many types.
        with suppress(Exception):
            self.broadcast.destroy()
