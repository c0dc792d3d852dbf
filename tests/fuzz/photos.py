"""Fuzz targets of scoring without Spark: ``jpeg`` and ``onnx-file``."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from glasses_spark import Scorer
from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.jpeg import decode_jpeg
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.export import export_model, with_pixel_input
from glasses_spark.scoring.model_metadata import ModelMetadata
from tests.fuzz.archives import changed_json
from tests.fuzz.target import Check, Target, flipped, refused

_SIDE: Final = 8


def jpeg_seeds() -> list[bytes]:
    """Return small JPEG files of each kind, one of them turned."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for mode in ("L", "RGB", "CMYK"):
        for options in ({}, {"progressive": True}, {"exif": exif}):
            content = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(content, "JPEG", **options)
            files.append(content.getvalue())
    return files


@contextmanager
def jpeg_opened() -> Iterator[Check]:
    """Provide a check: a picture of the right shape, or a reason."""

    def check(data: bytes) -> None:
        pixels: list[NDArray[np.uint8]] = []
        if refused(lambda: pixels.append(decode_jpeg(data, _SIDE, _SIDE)), DecodeError):
            return
        assert pixels[0].shape == (_SIDE, _SIDE)
        assert pixels[0].dtype == np.uint8

    yield check


def mutate_jpeg(data: bytes, chance: Random) -> bytes:
    """Change a byte, drop or repeat a part, or exchange a marker."""
    if not data:
        return b"\xff\xd8\xff"
    at = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            return data[:at] + data[at : at + 64] + data[at:]
        case 1:
            return data[:at] + data[at + chance.randrange(64) :]
        case 2:
            return data[:at] + bytes((0xFF, chance.randrange(0xC0, 0x100))) + data[at + 2 :]
        case _:
            return flipped(data, chance)


JPEG: Final = Target("jpeg", jpeg_seeds, jpeg_opened, mutate_jpeg)


def onnx_seeds() -> list[bytes]:
    """Return an exported model."""
    keras = import_keras()
    layers = [
        keras.Input((_SIDE, _SIDE, 1)),
        keras.layers.Conv2D(2, 3),
        keras.layers.Flatten(),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    metadata = ModelMetadata(height=_SIDE, width=_SIDE, takes_pixels=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        network = with_pixel_input(keras.Sequential(layers))
        export_model(network, path, metadata, format="onnx")
        return [path.read_bytes()]


@contextmanager
def onnx_opened() -> Iterator[Check]:
    """Provide a check: the model is loaded and scores a picture, or is refused."""
    picture = np.zeros((1, _SIDE, _SIDE), np.uint8)

    def check(data: bytes) -> None:
        refused(lambda: Scorer(data, threads=1).predict(picture))

    yield check


def mutate_onnx(data: bytes, chance: Random) -> bytes:
    """Change the metadata, a node or a constant; the file stays one of ONNX."""
    try:
        model = onnx.load_model_from_string(data)
        graph = model.graph
        match chance.randrange(5):
            case 0:
                (entry,) = model.metadata_props
                entry.value = changed_json(entry.value.encode(), chance).decode("utf-8", "replace")
            case 1:
                node = chance.choice(graph.node)
                names = [value.name for value in (*graph.input, *graph.initializer)]
                node.input[chance.randrange(len(node.input))] = chance.choice(names)
            case 2:
                chance.choice(graph.node).op_type = chance.choice(graph.node).op_type
            case 3:
                weight = chance.choice(graph.initializer)
                weight.dims[:] = [chance.randrange(-1, 9) for _ in range(chance.randrange(4))]
            case _:
                del graph.node[chance.randrange(len(graph.node))]
    except Exception:  # an input that is no longer a model
        return json.dumps(chance.random()).encode()
    changed: bytes = model.SerializeToString()
    return changed


# The runtime itself may not end on a damaged file, so the input is one of ONNX.
ONNX_FILE: Final = Target("onnx-file", onnx_seeds, onnx_opened, mutate_onnx, any_bytes=False)
