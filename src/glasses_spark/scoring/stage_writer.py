"""Stage writer: what the writers of this library's Spark ML stages have in common."""

from __future__ import annotations

from pyspark.ml.util import DefaultParamsWriter, MLWriter

from glasses_spark.runtime import hadoop
from glasses_spark.runtime.connect import is_connect


class StageWriter(MLWriter):
    """Writer of a stage to a Spark ML folder, which ``overwrite`` also replaces on a server."""

    def _handleOverwrite(self, path: str) -> None:
        # Spark ML's own method calls the driver's JVM.
        if is_connect(self.sparkSession):
            hadoop.delete(self.sparkSession, path)
        else:
            super()._handleOverwrite(path)


class ParamsWriter(StageWriter, DefaultParamsWriter):
    """Writer of a stage that consists of its Params."""
