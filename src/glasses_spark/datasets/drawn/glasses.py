"""Drawings of glasses of many shapes on a face."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from glasses_spark.datasets.drawn.canvas import Canvas, Colour, curve, grey, jitter, mix, oval
from glasses_spark.datasets.drawn.sitter import Sitter

RIMS = (
    (22, 22, 26),
    (60, 36, 24),
    (120, 30, 36),
    (30, 50, 110),
    (24, 84, 70),
    (196, 160, 84),
    (188, 192, 198),
    (238, 236, 228),
)

RIM_SHARES = (0.28, 0.16, 0.12, 0.12, 0.08, 0.08, 0.08, 0.08)


@dataclass(frozen=True)
class GlassesFrame:
    """Shape and colours of a pair of glasses. Lengths are in face units."""

    rim: Colour
    thickness: float
    lens_x: float
    lens_y: float
    rx: float
    ry: float
    power: float
    tint: Colour
    tint_strength: float
    glint: float

    @classmethod
    def random(cls, rng: np.random.Generator, sitter: Sitter) -> GlassesFrame:
        """Return random glasses that fit a person."""
        kind = str(rng.choice(["full", "thin", "dark"], p=[0.43, 0.27, 0.3]))
        rim = jitter(RIMS[rng.choice(len(RIMS), p=RIM_SHARES)], rng, 12)
        if abs(grey(rim) - grey(sitter.skin)) < 75:  # keep the frame visible
            rim = mix(rim, (20, 20, 24) if grey(sitter.skin) > 110 else (250, 246, 235), 0.8)
        width = rng.uniform(0.23, 0.29)
        return cls(
            rim=rim,
            thickness=rng.uniform(0.03, 0.042) if kind == "thin" else rng.uniform(0.055, 0.085),
            lens_x=sitter.eye_x + rng.uniform(-0.01, 0.03),
            lens_y=sitter.eye_y + rng.uniform(0.0, 0.05),
            rx=width,
            ry=width * rng.uniform(0.7, 1.0),
            power=rng.uniform(2.0, 4.5),
            tint=jitter((30, 30, 36), rng, 24) if kind == "dark" else (226, 236, 244),
            tint_strength=rng.uniform(0.82, 1.0) if kind == "dark" else rng.uniform(0.04, 0.16),
            glint=rng.uniform(0.15, 0.5),
        )


def draw_glasses(canvas: Canvas, frame: GlassesFrame, sitter: Sitter) -> None:
    """Draw glasses on a face."""
    y, inner = frame.lens_y, frame.lens_x - frame.rx
    for side in (-1, 1):
        x = side * frame.lens_x
        lens = oval(x, y, frame.rx, frame.ry, frame.power)
        canvas.glaze(lens, frame.tint, frame.tint_strength)
        glint = np.array(
            [[x - 0.1, y + 0.1], [x - 0.02, y + 0.1], [x + 0.1, y - 0.11], [x + 0.02, y - 0.11]]
        )
        canvas.glaze(glint, (255, 255, 255), frame.glint)
        temple = np.array(
            [[x + side * frame.rx, y - 0.05], [side * (sitter.width + 0.03), y - 0.09]]
        )
        canvas.stroke(temple, frame.rim, max(0.03, frame.thickness * 0.9))
        canvas.stroke(lens, frame.rim, frame.thickness, closed=True)
    canvas.stroke(
        curve((-inner, y - 0.04), (0, y - 0.12), (inner, y - 0.04)), frame.rim, frame.thickness
    )


def draw_doubtful_glasses(canvas: Canvas, sitter: Sitter, rng: np.random.Generator) -> None:
    """Draw ambiguous glasses: pushed up, partly behind hair, or rimless."""
    kind = str(rng.choice(["pushed up", "behind hair", "rimless"]))
    frame = GlassesFrame.random(rng, sitter)
    if kind == "pushed up":
        draw_glasses(canvas, replace(frame, lens_y=-0.74, tint_strength=0.5), sitter)
    elif kind == "behind hair":
        draw_glasses(canvas, frame, sitter)
        side = rng.choice([-1, 1])
        for x in np.linspace(-0.55, 0.7, 26):  # hair over one lens
            lock = curve((side * 0.1, -0.95), (side * x, -0.7), (side * x, rng.uniform(0.2, 0.5)))
            canvas.stroke(lock, mix(sitter.hair, (0, 0, 0), rng.uniform(0, 0.25)), 0.1)
    else:  # only the bridge, two glints and the ends of the temples are visible
        skin = mix(sitter.skin, frame.rim, 0.35)
        draw_glasses(canvas, replace(frame, rim=skin, thickness=0.008, tint_strength=0.06), sitter)
