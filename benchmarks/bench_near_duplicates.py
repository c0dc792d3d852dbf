"""How well perceptual hashes separate altered copies of a face from other faces.

    glasses-spark draw-faces --labels labels.csv --out faces
    python benchmarks/bench_near_duplicates.py [--faces faces] [--copies 600]

Compares all pairs of different faces, and altered copies with their originals. Each hash is
evaluated at the largest distance without a false positive, and ours also at the distance that
this library uses.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from environment import describe, write_result
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.duplicates.perceptual_hash import (
    BITS,
    DISTANCE,
    band_keys,
    hash_pixels,
)

SIDE = 128
NEAR = 8  # of 64 bits: the usual limit of other tools
Hash = Callable[[Any], Any]


def main() -> None:
    arguments = _arguments()
    files = sorted(Path(arguments.faces).glob("*.png"))
    faces = np.stack([decode(file.read_bytes(), SIDE, SIDE) for file in files])
    chosen = np.random.default_rng(0).choice(len(faces), arguments.copies, replace=False)
    copies = {name: _alter_all(faces[chosen], alter) for name, alter in ALTERED.items()}
    table = {}
    for hash_name, hashed in HASHES.items():
        bits = hashed(faces)
        separations = _pairwise_distances(bits)
        distances = {name: (hashed(copy) != bits[chosen]).sum(1) for name, copy in copies.items()}
        limits = {"largest without a false pair": int(separations.min()) - 1}
        if hash_name == OURS:
            limits["in use"] = DISTANCE
        table[hash_name] = {
            "bits": bits.shape[1],
            "nearest_two_faces": int(separations.min()),
            "equal_pairs": int((separations == 0).sum()),
            "pairs_within_8": int((separations <= NEAR).sum()),
            "found": {
                rule: {"distance": limit}
                | {alteration: float((d <= limit).mean()) for alteration, d in distances.items()}
                for rule, limit in limits.items()
            },
        }
    keys = band_keys(hash_pixels(faces))
    shared = sum(_count_pairs_with_equal_value(column) for column in keys.T)
    pairs = len(faces) * (len(faces) - 1) // 2
    settings = vars(arguments) | {"faces_found": len(faces), "pairs": pairs}
    result = {"table": table, "candidates_of_pairs": shared / pairs}
    path = write_result("near_duplicates", describe("near_duplicates", settings) | result)
    for name, row in table.items():
        print(
            f"\n{name}, {row['bits']} bits; nearest {row['nearest_two_faces']}, "
            f"equal {row['equal_pairs']}, within {NEAR}: {row['pairs_within_8']}"
        )
        for rule, shares in row["found"].items():
            print(f"  {rule}: {shares}")
    print(f"\ncandidates: {shared / pairs:.4f} of {pairs} pairs\n{path}")


def _alter_all(faces: Any, alter: Callable[[Any], Any]) -> Any:
    return np.stack([alter(face) for face in faces])


def _scaled(side: int) -> Callable[[Any], Any]:
    def alter(face: Any) -> Any:
        small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)

    return alter


def _brightened(factor: float) -> Callable[[Any], Any]:
    return lambda face: np.clip(face * factor, 0, 255).astype(np.uint8)


def _compressed(quality: int) -> Callable[[Any], Any]:
    def alter(face: Any) -> Any:
        _, content = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)

    return alter


def _moved(x: int, y: int) -> Callable[[Any], Any]:
    shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
    border = cv2.BORDER_REPLICATE
    return lambda face: cv2.warpAffine(face, shift, (SIDE, SIDE), borderMode=border)


def _noisy(face: Any) -> Any:
    noise = np.random.default_rng(int(face.sum())).normal(0, 4, face.shape)
    return np.clip(face + noise, 0, 255).astype(np.uint8)


ALTERED: dict[str, Callable[[Any], Any]] = {
    "scaled to 96": _scaled(96),
    "scaled to 64": _scaled(64),
    "10 % lighter": _brightened(1.1),
    "10 % darker": _brightened(0.9),
    "JPEG 70": _compressed(70),
    "JPEG 40": _compressed(40),
    "noise of 4 levels": _noisy,
    "1 right": _moved(1, 0),
    "1 right, 1 down": _moved(1, 1),
    "2 right": _moved(2, 0),
    "2 right, 2 down": _moved(2, 2),
    "1 right, 1 down, lighter, JPEG 60": lambda face: _compressed(60)(
        _brightened(1.1)(_moved(1, 1)(face))
    ),
}


def _cells(faces: Any, rows: int, columns: int) -> Any:
    return np.stack(
        [
            cv2.resize(face, (columns, rows), interpolation=cv2.INTER_AREA)
            for face in faces.astype(np.float32)
        ]
    )


def _across(faces: Any, cells: int) -> Any:
    return (np.diff(_cells(faces, cells, cells + 1), axis=2) > 0).reshape(len(faces), -1)


def _down(faces: Any, cells: int) -> Any:
    return (np.diff(_cells(faces, cells + 1, cells), axis=1) > 0).reshape(len(faces), -1)


def _means(faces: Any) -> Any:
    cells = _cells(faces, 8, 8).reshape(len(faces), -1)
    return cells > np.median(cells, axis=1, keepdims=True)


def _cosines(faces: Any) -> Any:
    """Compute pHash: the lowest 8 x 8 frequencies of 32 x 32 cells, without the mean."""
    low = np.stack([cv2.dct(cells)[:8, :8] for cells in _cells(faces, 32, 32)])
    low = low.reshape(len(faces), -1)[:, 1:]
    return low > np.median(low, axis=1, keepdims=True)


def _ours(faces: Any) -> Any:
    octets = hash_pixels(faces).view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :BITS].astype(bool)


OURS = "difference, 10 x 10, both ways, margin 0.5"
HASHES: dict[str, Hash] = {
    "block mean, 8 x 8": _means,
    "cosines, 8 x 8": _cosines,
    "difference, 8 x 8, across": lambda faces: _across(faces, 8),
    "difference, 8 x 8, both ways": lambda faces: np.hstack([_across(faces, 8), _down(faces, 8)]),
    OURS: _ours,
}


def _pairwise_distances(bits: Any) -> Any:
    signs = 2 * bits.astype(np.float32) - 1
    return ((bits.shape[1] - signs @ signs.T) / 2)[np.triu_indices(len(bits), 1)]


def _count_pairs_with_equal_value(values: Any) -> int:
    _, counts = np.unique(values, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", default="faces")
    parser.add_argument("--copies", type=int, default=600)
    return parser.parse_args()


if __name__ == "__main__":
    main()
