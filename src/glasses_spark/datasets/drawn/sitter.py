"""Sitter: random properties of the person in a drawn face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glasses_spark.datasets.drawn.canvas import Colour, Points, between, jitter
from glasses_spark.seeds import derive_seed

SKINS = (
    (255, 224, 196),
    (241, 194, 158),
    (222, 170, 128),
    (190, 132, 92),
    (141, 90, 60),
    (92, 58, 40),
)

HAIRS = (
    (24, 20, 20),
    (58, 38, 26),
    (104, 66, 38),
    (156, 106, 56),
    (214, 176, 108),
    (148, 56, 28),
    (170, 168, 166),
)

CLOTHES = (
    (36, 44, 66),
    (128, 36, 44),
    (44, 92, 74),
    (206, 198, 182),
    (84, 84, 92),
    (196, 140, 52),
    (108, 76, 132),
    (232, 232, 236),
)


class Generators:
    """Independent random generators by part of the drawing.

    A part that is not drawn does not change the random numbers of another.

    Args:
        seed: Seed of the set of drawings.
        index: Number of the face.
    """

    def __init__(self, seed: int, index: int) -> None:
        self._seed, self._index = seed, index

    def of(self, part: str) -> np.random.Generator:
        """Return a new generator for a part of the drawing."""
        return np.random.default_rng(derive_seed(self._seed, "face", self._index, part))


@dataclass(frozen=True)
class Sitter:
    """Properties of a person that do not depend on glasses. Lengths are in face units."""

    skin: Colour
    hair: Colour
    hair_style: str
    hat: Colour | None
    width: float  # of half the head
    jaw: float  # 0 round to 1 pointed
    eye_x: float
    eye_y: float
    eye_size: float
    brow_y: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Sitter:
        """Return a random person."""
        hat = rng.random() < 0.14
        styles = ["short", "fringe", "parted", "long", "curly", "bald"]
        return cls(
            skin=between(SKINS, rng),
            hair=jitter(HAIRS[rng.integers(len(HAIRS))], rng, 10),
            hair_style=str(rng.choice(styles, p=[0.22, 0.26, 0.18, 0.16, 0.1, 0.08])),
            hat=jitter(CLOTHES[rng.integers(len(CLOTHES))], rng, 15) if hat else None,
            width=rng.uniform(0.66, 0.78),
            jaw=rng.uniform(0.1, 0.6),
            eye_x=rng.uniform(0.29, 0.34),
            eye_y=rng.uniform(-0.1, -0.04),
            eye_size=rng.uniform(0.1, 0.14),
            brow_y=rng.uniform(-0.36, -0.27),
        )

    def outline(self, grow: float = 0.0) -> Points:
        """Return the outline of the head, clockwise from the right ear, `grow` units larger."""
        angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        down = np.clip(np.sin(angle), 0, 1)
        half = (self.width + grow) * (1 - self.jaw * 0.45 * down**2.5)
        return np.stack([half * np.cos(angle), (1.0 + grow) * np.sin(angle) - 0.02], axis=1)
