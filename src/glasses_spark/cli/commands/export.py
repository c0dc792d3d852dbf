"""The command ``glasses-spark export``."""

from __future__ import annotations

import logging
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.saved_run import configuration_of
from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError, ScoringError
from glasses_spark.printable import printable
from glasses_spark.runs.figures import read_metrics
from glasses_spark.runs.folder import KERAS_MODEL, ONNX_MODEL
from glasses_spark.runtime.location import local_folder

# Imported where they are used, so that a wrong call fails at once.
if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_FORMATS: Final = ("onnx", "openvino", "tflite", "saved-model", "keras")
_ONNX: Final = "onnx"

_PIXELS: Final = "pixels"
_SCALED: Final = "scaled"


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "export",
        "write the model of a run for another runtime, and compare it with Keras",
        [
            "--model runs/demo",
            "--model runs/demo --format openvino --out glasses.xml",
            "--model runs/demo --format tflite --out glasses.tflite --check photos",
        ],
    )
    command.add_argument("--model", metavar="RUN", required=True, help="run folder")
    command.add_argument(
        "--format", choices=_FORMATS, default=_ONNX, help="format (default: %(default)s)"
    )
    command.add_argument(
        "--out",
        metavar="PATH",
        help=f"file, or folder of a saved-model (default for onnx: {ONNX_MODEL} in the run folder, "
        "which predict uses)",
    )
    command.add_argument(
        "--input",
        choices=(_PIXELS, _SCALED),
        default=_PIXELS,
        help="input of the exported model: grey pixels, uint8, or pixels / 255, float32 (default: "
        "%(default)s)",
    )
    command.add_argument(
        "--check",
        metavar="IMAGE",
        nargs="+",
        default=[],
        help="also compare with Keras on these images",
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Export a model, and fail if it differs from Keras."""
    folder = local_folder(arguments.model)
    if folder is None:
        raise ConfigError(f"--model: expected a folder on this machine, got {arguments.model}")
    config = configuration_of(arguments.model, arguments)
    out = _output(arguments, folder)
    import numpy as np

    from glasses_spark.runs.exported_model import TRAINING_PIXELS, metadata_of
    from glasses_spark.scoring.checked_export import random_rows, write_checked
    from glasses_spark.scoring.export import with_pixel_input

    network = _load(folder)
    if arguments.input == _PIXELS:
        network = with_pixel_input(network)
    metrics = read_metrics(folder)
    metadata = metadata_of(
        config,
        takes_pixels=arguments.input == _PIXELS,
        temperature=_temperature(folder),
        digest=metrics["digests"].get("weights", ""),
        training_pixels=metrics.get(TRAINING_PIXELS),
    )
    batch = np.concatenate(
        [random_rows(network, seed=config.run.seed), *_images(arguments, config)]
    )
    difference = write_checked(network, out, batch, metadata, format=arguments.format)
    logger.info("%s: differs from Keras by at most %.1e on %d images", out, difference, len(batch))


def _output(arguments: Namespace, folder: Path) -> Path:
    if arguments.out:
        from glasses_spark.scoring.checked_export import output_path

        return output_path(arguments.out, arguments.format)
    if arguments.format != _ONNX:
        raise ConfigError(f"--format {arguments.format} needs --out PATH")
    if arguments.input != _PIXELS:
        # `predict` takes images from the disk.
        raise ConfigError(f"--input {arguments.input} needs --out PATH")
    if (folder / ONNX_MODEL).is_symlink():
        # A run folder may come from a stranger.
        raise ConfigError(
            f"{folder / ONNX_MODEL} is a link, whose target would be replaced. Remove it, or name "
            "a file with --out"
        )
    return folder / ONNX_MODEL


def _load(folder: Path) -> Any:
    from glasses_spark.runtime.keras import import_keras
    from glasses_spark.scoring.damaged_file import keras_cannot_load

    path = folder / KERAS_MODEL
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise ScoringError(
            f"{path}: expected the model of a finished run, found none. Train it again"
        )
    try:
        return import_keras().saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise keras_cannot_load(str(path), error, safe_mode=True) from error


def _temperature(folder: Path) -> float:
    calibration = read_metrics(folder).get("calibration")
    value = calibration.get("temperature", 1.0) if isinstance(calibration, dict) else 1.0
    return float(value) if isinstance(value, int | float) else 1.0


def _images(arguments: Namespace, config: Config) -> list[NDArray[Any]]:
    """Return the images of ``--check`` as batches of the model's input."""
    import numpy as np

    from glasses_spark.runtime.machine import count_cores
    from glasses_spark.scorer.photos import list_photos, read_photos

    height, width = config.image.height, config.image.width
    names = list_photos(arguments.check)
    batches: list[NDArray[Any]] = []
    for photo in read_photos(names, height=height, width=width, threads=count_cores()):
        if photo.pixels is None:
            logger.warning("%s: not compared (%s)", printable(photo.name), photo.error)
            continue
        batch = photo.pixels[np.newaxis, ..., np.newaxis]
        is_pixels = arguments.input == _PIXELS
        batches.append(batch if is_pixels else batch.astype(np.float32) / np.float32(255))
    return batches
