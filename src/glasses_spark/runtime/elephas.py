"""Elephas: the one module that imports it, after Keras has been imported quietly."""

from __future__ import annotations

from glasses_spark.runtime.keras import import_keras

# Elephas imports TensorFlow when it is imported itself.
import_keras()

from elephas.ml_model import ElephasEstimator, ElephasTransformer  # noqa: E402
from elephas.parameter import BaseParameterClient, BaseParameterServer  # noqa: E402
from elephas.parameter.factory import ClientServerFactory  # noqa: E402
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
    "as_enum",
]
