"""Pipeline: chains the stages of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glasses_spark.pipeline.pipeline import GlassesPipeline

__all__ = ["GlassesPipeline"]


def __getattr__(name: str) -> Any:
    # On first use, because it imports pyspark, which must wait until an external Spark
    # has been located.
    if name != "GlassesPipeline":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from glasses_spark.pipeline.pipeline import GlassesPipeline

    return GlassesPipeline
