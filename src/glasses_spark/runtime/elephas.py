"""Elephas: the only module that imports it."""

from __future__ import annotations

from glasses_spark.runtime.keras import import_keras

# Before Elephas, which imports TensorFlow without setting it up.
import_keras()

from elephas.ml_model import ElephasEstimator, ElephasTransformer  # noqa: E402
from elephas.parameter import BaseParameterClient, BaseParameterServer  # noqa: E402
from elephas.parameter.factory import ClientServerFactory  # noqa: E402
from elephas.spark_model import SparkMLlibModel, SparkModel  # noqa: E402
from elephas.utils.model_utils import (  # noqa: E402
    LossModelTypeMapper,
    ModelType,
    ModelTypeEncoder,
    as_enum,
)

__all__ = [
    "BaseParameterClient",
    "BaseParameterServer",
    "ClientServerFactory",
    "ElephasEstimator",
    "ElephasTransformer",
    "LossModelTypeMapper",
    "ModelType",
    "ModelTypeEncoder",
    "SparkMLlibModel",
    "SparkModel",
    "as_enum",
]
