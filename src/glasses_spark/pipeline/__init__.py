"""Pipeline: the stages of a run, chained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glasses_spark.pipeline.pipeline import GlassesPipeline

__all__ = ["GlassesPipeline"]


def __getattr__(name: str) -> Any:
    # On first use: it imports pyspark, which must wait for an external Spark to be found.
    if name != "GlassesPipeline":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from glasses_spark.pipeline.pipeline import GlassesPipeline

    return GlassesPipeline
