"""Configuration of a run: typed, checked and frozen settings."""

from glasses_spark.config.config import Config
from glasses_spark.config.reference import reference

__all__ = ["Config", "reference"]
