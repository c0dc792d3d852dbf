"""Exported model of a run: its metadata, and the ONNX file in the run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from glasses_spark.config.config import Config
from glasses_spark.errors import ScoringError, SetupError
from glasses_spark.runs.folder import ONNX_MODEL
from glasses_spark.scoring.export import ONNX, export_model, package_versions, with_pixel_input
from glasses_spark.scoring.model_metadata import ModelMetadata

# Key of the statistics of the training pixels in ``metrics.json``.
TRAINING_PIXELS: Final = "training_pixels"

logger = logging.getLogger(__name__)


def metadata_of(
    config: Config,
    *,
    takes_pixels: bool,
    temperature: float,
    digest: str,
    training_pixels: Mapping[str, Any] | None = None,
) -> ModelMetadata:
    """Return the metadata of the exported model of a run.

    Args:
        config: Configuration of the run.
        takes_pixels: Whether the model divides pixels by 255 itself.
        temperature: Number that divides the logits.
        digest: Digest of architecture and weights.
        training_pixels: Statistics of the training pixels, as in ``metrics.json``; None without.
    """
    return ModelMetadata(
        height=config.image.height,
        width=config.image.width,
        takes_pixels=takes_pixels,
        threshold=config.evaluation.threshold,
        temperature=temperature,
        digest=digest,
        versions=package_versions(),
        training_pixels=training_pixels,
    )


def write_onnx_model(
    folder: Path,
    network: Any,
    config: Config,
    *,
    temperature: float,
    digest: str,
    training_pixels: Mapping[str, Any] | None = None,
) -> None:
    """Write the model for scoring without Spark, if the packages for it are installed.

    Args:
        folder: Run folder.
        network: Keras model from images, float32 in [0, 1], to the probability.
        config: Configuration of the run.
        temperature: As for ``metadata_of``.
        digest: As for ``metadata_of``.
        training_pixels: As for ``metadata_of``.
    """
    metadata = metadata_of(
        config,
        takes_pixels=True,
        temperature=temperature,
        digest=digest,
        training_pixels=training_pixels,
    )
    try:
        export_model(with_pixel_input(network), folder / ONNX_MODEL, metadata, format=ONNX)
    except (SetupError, ScoringError) as error:
        # Not an error: the results are complete, and `predict` uses Spark for this run.
        logger.warning("%s skipped: %s", ONNX_MODEL, error)
